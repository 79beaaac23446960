"""The rewards that members of the sandbox's programme can claim: category, price in points, name, description."""

from __future__ import annotations

Text = str | dict[str, str]

_CLINIC = (
    "Two hours on the track with one of our coaches: how you land, how you breathe, what you could leave out. "
    "A film of your stride is taken from three sides and discussed with you, and you take home a plan for "
    "twelve weeks that fits your week and your shoes. Bring something warm for the talk afterwards; tea, "
    "bananas and plasters are on us. Groups have six members at most, so please choose your date within 14 "
    "days after you claimed this, and tell us in time if you cannot come: somebody on the waiting list will be "
    "glad of it. Not for sale, and not to be had for money."
)

CATALOGUE: tuple[tuple[str, int, Text, Text], ...] = (
    (
        "voucher", 500,
        {"en": "£5 off your next order", "de": "5 € Rabatt auf deine nächste Bestellung",
         "fr": "5 € de remise sur votre prochaine commande", "hu": "1 500 Ft kedvezmény a következő rendelésedből",
         "es": "5 € de descuento en tu próximo pedido", "pl": "20 zł zniżki na kolejne zamówienie",
         "ja": "次回のご注文が500円引き"},
        {"en": "Five pounds off any order of £30 or more.", "de": "5 € Rabatt ab einem Bestellwert von 30 €.",
         "fr": "5 € de remise dès 30 € d'achat.", "hu": "10 000 Ft feletti rendelésnél váltható be.",
         "es": "Para pedidos a partir de 30 €.", "pl": "Przy zamówieniach od 120 zł.",
         "ja": "3,000円以上のご注文でご利用いただけます。"},
    ),
    (
        "voucher", 900,
        {"en": "£10 voucher", "de": "10-€-Gutschein", "fr": "Bon d'achat de 10 €", "hu": "3 000 Ft-os utalvány"},
        {"en": "A £10 voucher for everything in the shop.", "de": "Ein Gutschein über 10 € für das ganze Sortiment.",
         "fr": "Un bon de 10 € valable sur tout le magasin.", "hu": "3 000 Ft-os utalvány a teljes kínálatra."},
    ),
    (
        "delivery", 300,
        {"en": "Free next-day delivery", "de": "Gratis-Expressversand", "fr": "Livraison express offerte",
         "hu": "Ingyenes másnapi kiszállítás", "es": "Envío urgente gratis", "el": "Δωρεάν παράδοση την επόμενη ημέρα"},
        {"en": "Your next order comes to you tomorrow, free.",
         "de": "Deine nächste Bestellung kommt gratis schon morgen.",
         "fr": "Votre prochaine commande livrée demain, sans frais.",
         "hu": "Következő rendelésed holnap nálad, ingyen.",
         "es": "Tu próximo pedido llega mañana, sin gastos.", "el": "Η επόμενη παραγγελία σας φτάνει αύριο, δωρεάν."},
    ),
    (
        "experience", 2500,
        {"en": "Running clinic with a coach", "de": "Lauftraining mit Coach", "fr": "Séance de course avec un coach"},
        {"en": _CLINIC,
         "de": "Zwei Stunden auf der Bahn mit einem unserer Coaches.",
         "fr": "Deux heures sur la piste avec l'un de nos coachs."},
    ),
    (
        "experience", 4000,
        {"en": "Dinner for two at Café “Süd”", "de": "Abendessen für zwei im Café „Süd“",
         "fr": "Dîner pour deux au Café « Süd »"},
        {"en": "Three courses & a bottle of the house's own, on a day of your choice.",
         "de": "Drei Gänge und eine Flasche Hauswein, Tag nach Wahl.",
         "fr": "Trois plats et une bouteille de la maison, le jour de votre choix."},
    ),
    ("gift", 700, "Tote bag", "Organic cotton, 38 × 42 cm."),
    ("gift", 800, {"hu": "Kulacs", "de": "Trinkflasche"},
     {"hu": "Rozsdamentes acél, fél liter.", "de": "Edelstahl, 0,5 l."}),
    ("gift", 1200, {"en": "Æther & Co candle", "de": "Kerze von Æther & Co", "ja": "Æther & Co キャンドル"}, ""),
    (
        "gift", 1500,
        {"en": "Mug “Good morning” ☕", "de": "Becher „Guten Morgen“ ☕", "pl": "Kubek „Dzień dobry” ☕"},
        {"en": "Stoneware, made by hand: each is a little different.",
         "de": "Steingut, von Hand gemacht: jeder ein bisschen anders.",
         "pl": "Kamionka, robiona ręcznie: każdy trochę inny."},
    ),
    (
        "charity", 1000,
        {"en": "Plant five trees", "de": "Fünf Bäume pflanzen", "fr": "Plantez cinq arbres", "hu": "Ültess öt fát"},
        {"en": "We plant five trees in your name and send you where.",
         "de": "Wir pflanzen fünf Bäume in deinem Namen und sagen dir, wo.",
         "fr": "Nous plantons cinq arbres en votre nom et vous disons où.",
         "hu": "Öt fát ültetünk a nevedben, és elküldjük, hol."},
    ),
    (
        "early access", 600,
        {"en": "Early access to the winter sale", "de": "Früher in den Winterschlussverkauf",
         "ar": "دخول مبكر إلى تخفيضات الشتاء"},
        {"en": "One day before everybody else.", "de": "Einen Tag vor allen anderen.", "ar": "قبل الجميع بيوم واحد."},
    ),
    (
        "partner", 1800,
        {"en": "Two cinema tickets", "de": "Zwei Kinokarten", "es": "Dos entradas de cine", "ja": "映画チケット2枚"},
        {"en": "For any film, from Monday to Thursday.", "de": "Für jeden Film, Montag bis Donnerstag.",
         "es": "Para cualquier película, de lunes a jueves.", "ja": "月曜から木曜まで、どの作品でも。"},
    ),
)  # fmt: skip
