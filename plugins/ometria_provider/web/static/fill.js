// Parts of a page that take another system's time: the page is there at once, and this puts them in when they come.
for (const place of document.querySelectorAll("[data-fill]")) {
  const say = (message) => {
    const said = document.createElement("p");
    said.className = "reason";
    said.setAttribute("role", "alert");
    said.textContent = message;
    place.replaceChildren(said);
  };
  try {
    const answer = await fetch(place.dataset.fill, { method: "POST", headers: { Accept: "application/json" } });
    const type = answer.headers.get("Content-Type") ?? "";
    if (answer.ok && type.startsWith("text/html")) place.innerHTML = await answer.text();
    else say((await answer.json().catch(() => ({}))).error?.message ?? `The server answered ${answer.status}.`);
  } catch {
    say("The server does not answer: load the page anew.");
  }
}
