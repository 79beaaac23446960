"""Words that the made-up members are made of: places, names in several scripts, tiers, stores.

E-mail addresses end in the reserved example domains; mobile numbers lie around the numbering plans' own examples.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Place(NamedTuple):
    """A country with its language, currency, the start of a mobile number (three digits are added) and names."""

    country: str
    language: str
    currency: str
    mobile: str
    national: str
    women: tuple[str, ...]
    men: tuple[str, ...]
    surnames: tuple[str, ...]


PLACES = (
    Place("GB", "en", "GBP", "+447400123", "07400 123",
          ("Olivia", "Amelia", "Isla", "Ava", "Niamh", "Zoë", "Anne-Marie", "Grace", "Freya", "Imogen"),
          ("Oliver", "George", "Noah", "Arthur", "Callum", "Harry", "Leo", "Seán", "Rhys", "Theodore"),
          ("Smith", "Jones", "O'Neill", "Taylor", "Brown", "Williams", "Patel", "MacDonald", "Evans", "Wright")),
    Place("US", "en", "USD", "+12015550", "(201) 555-0",
          ("Emma", "Sophia", "Mia", "Harper", "Evelyn", "Camila", "Luna", "Ella", "Aria", "Nevaeh"),
          ("Liam", "James", "Mateo", "Ethan", "Mason", "Jackson", "Aiden", "Wyatt", "Elijah", "D'Andre"),
          ("Johnson", "Garcia", "Miller", "Davis", "Rodriguez", "Lee", "Walker", "Young", "King", "Nguyen")),
    Place("DE", "de", "EUR", "+4915123456", "01512 3456",
          ("Käthe", "Jürgita", "Lena", "Mia", "Annika", "Franziska", "Heike", "Sabine", "Ute", "Mareike"),
          ("Jörg", "Björn", "Lukas", "Felix", "Günther", "Matthias", "Uwe", "Sören", "Max", "Karl-Heinz"),
          ("Müller", "Schröder", "Groß", "Weiß", "Schmidt", "Krüger", "Böhm", "von der Heide", "Lange", "Voß")),
    Place("FR", "fr", "EUR", "+33612345", "06 12 34 5",
          ("Chloé", "Inès", "Zoé", "Léa", "Maëlle", "Françoise", "Hélène", "Jade", "Manon", "Éloïse"),
          ("Jérôme", "François", "Théo", "Louis", "Raphaël", "Noël", "Gaël", "Hugo", "Étienne", "Loïc"),
          ("Lefèvre", "Dubois", "L'Hôpital", "Bernard", "Moreau", "Gérard", "Benoît", "Petit", "Hébert", "Roux")),
    Place("HU", "hu", "HUF", "+36201234", "06 20 123 4",
          ("Ágnes", "Zsófia", "Boglárka", "Réka", "Eszter", "Ildikó", "Tünde", "Katalin", "Dóra", "Noémi"),
          ("László", "Győző", "Bence", "Máté", "Zoltán", "Ödön", "István", "Gergő", "Ádám", "Dániel"),
          ("Nagy", "Kovács", "Szűcs", "Tóth", "Horváth", "Kőszegi", "Varga", "Hegedűs", "Fülöp", "Pásztor")),
    Place("ES", "es", "EUR", "+34612345", "612 345 ",
          ("Lucía", "Martina", "María José", "Núria", "Begoña", "Sofía", "Inés", "Carmen", "Leire", "Ana"),
          ("Martín", "Hugo", "Álvaro", "Íñigo", "José Luis", "Pablo", "Ramón", "Andrés", "Unai", "Jordi"),
          ("García", "Fernández", "Muñoz", "Ibáñez", "López", "Núñez", "Pérez", "Etxeberria", "Vidal", "Peña")),
    Place("PL", "pl", "PLN", "+48512345", "512 345 ",
          ("Zofia", "Małgorzata", "Agnieszka", "Łucja", "Katarzyna", "Iga", "Bożena", "Hanna", "Ewa", "Julia"),
          ("Paweł", "Michał", "Łukasz", "Wojciech", "Grzegorz", "Jan", "Błażej", "Kamil", "Piotr", "Stanisław"),
          ("Nowak", "Wójcik", "Kowalczyk", "Dąbrowski", "Żak", "Zieliński", "Wiśniewski", "Król", "Górski", "Źrebiec")),
    Place("GR", "el", "EUR", "+306912345", "691 234 5",
          ("Μαρία", "Ελένη", "Κατερίνα", "Σοφία", "Αγγελική", "Δήμητρα", "Ιωάννα", "Άννα", "Χριστίνα", "Ζωή"),
          ("Γιώργος", "Νίκος", "Δημήτρης", "Κώστας", "Αλέξανδρος", "Πέτρος", "Σπύρος", "Ιωάννης", "Θεόδωρος", "Ηλίας"),
          ("Παπαδόπουλος", "Γεωργίου", "Νικολάου", "Οικονόμου", "Βλάχος", "Αγγέλου", "Μακρής", "Καραγιάννης",
           "Δημητρίου", "Ζαφείρης")),
    Place("JP", "ja", "JPY", "+819012345", "090-1234-5",
          ("陽葵", "さくら", "美咲", "結衣", "花子", "葵", "凛", "陽菜", "由美子", "愛"),
          ("蓮", "大翔", "健太", "悠真", "太郎", "翔太", "湊", "陸", "誠", "一郎"),
          ("佐藤", "鈴木", "高橋", "田中", "渡辺", "伊藤", "山本", "中村", "小林", "齋藤")),
    Place("AE", "ar", "AED", "+971501234", "050 123 4",
          ("فاطمة", "مريم", "نور", "ليلى", "عائشة", "سارة", "هند", "زينب", "ريم", "شيخة"),
          ("محمد", "أحمد", "علي", "خالد", "يوسف", "عمر", "سعيد", "راشد", "حمد", "إبراهيم"),
          ("المنصوري", "الشامسي", "الهاشمي", "السويدي", "الكعبي", "النعيمي", "الزعابي", "الفلاسي", "المري",
           "العامري")),
)  # fmt: skip

MAIL_DOMAINS = ("example.com", "example.org", "example.net", "mail.example.com")
STORES = (
    "London Covent Garden",
    "Köln Ehrenfeld",
    "Paris Marais",
    "Budapest Andrássy út",
    "Αθήνα Κολωνάκι",
    "東京 銀座",
)
INTERESTS = ("running", "outdoor", "yoga", "football", "swimming", "cycling", "climbing")
BRANDS = ("Northwind", "Fjällräv", "Æther & Co", "Łoś", "山道", "Café “Süd” ☕")
GROUPS = ("vip", "staff-friends", "newsletter-testers", "early-birds")

# Tiers of the structure `basic_structure`, lowest first: id, name (a string or a language map), points that reach it.
TIERS: tuple[tuple[str, str | dict[str, str], int], ...] = (
    ("tier_bronze", "Bronze", 0),
    ("tier_silver", {"en": "Silver", "de": "Silber", "fr": "Argent", "hu": "Ezüst", "ja": "シルバー"}, 500),
    ("tier_gold", {"en": "Gold", "de": "Gold", "fr": "Or", "hu": "Arany", "ja": "ゴールド"}, 2000),
    ("tier_platinum", "Platinum", 6000),
)
ACCOUNT_NAMES: dict[str, Any] = {
    "prestige_balance": {"en": "Prestige points", "de": "Prestigepunkte", "hu": "Presztízspontok"},
    "bonus_balance": "Bonus",
}

# ISO 3166-1 alpha-2, for the checks on the receiving side.
_COUNTRIES = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ "
    "CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO "
    "FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE "
    "JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO "
    "MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW "
    "PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM "
    "TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW"
)
COUNTRIES = frozenset(_COUNTRIES.split())
