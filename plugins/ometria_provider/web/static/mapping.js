// The editor of a mapping file. The server says what is wrong, what changes in the file and what the text is; here is
// only what the form says.
const form = document.getElementById("editor");
const rows = document.getElementById("rows");
const said = document.getElementById("said");
const saveButton = document.getElementById("save");
const keys = [...form.querySelectorAll("[data-key]")];
const loaded = new Map(keys.map((input) => [input.dataset.key, input.value]));
const options = [...document.getElementById("loyalty-fields").options];
let digest = form.dataset.digest || null;
let fileText = JSON.parse(form.dataset.loaded); // of the file as it was loaded, or saved from here since
let asked = 0;
let saving = false;
// The preview follows what is written, one request at a time.
const preview = { on: false, busy: false, due: false, button: document.getElementById("preview") };

const element = (name, content = "", cls = "") => {
  const made = document.createElement(name);
  made.textContent = content;
  if (cls) made.className = cls;
  return made;
};

const draft = () => ({
  digest,
  start: Number(form.dataset.start),
  keys: Object.fromEntries(keys.filter((i) => i.value !== loaded.get(i.dataset.key)).map((i) => [i.dataset.key, i.value])),
  rows: [...rows.children].map((row) => {
    const constant = row.querySelector(".kind").value === "constant";
    const value = (name) => row.querySelector(`.${name}`).value;
    const origin = row.dataset.origin === undefined ? null : Number(row.dataset.origin);
    const [loyalty, transform] = constant ? ["", ""] : [value("loyalty"), value("transform")];
    return { origin, constant, loyalty, transform, value: constant ? value("value") : "", remote: value("remote") };
  }),
});

async function ask(what, body) {
  // Always a POST: over plain http a browser says with no other request that it comes from this page.
  const answer = await fetch(`${form.dataset.url}/${what}`, {
    method: "POST",
    headers: { Accept: "application/json", "Content-Type": "application/json" },
    body: JSON.stringify(body ?? {}),
  });
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(data.error?.message ?? `The server answered ${answer.status}.`);
  return data;
}

function show(found) {
  const errors = found.problems.filter((one) => !one.warning);
  const list = document.getElementById("problems");
  for (const input of form.querySelectorAll("[aria-invalid]")) {
    input.removeAttribute("aria-invalid");
    input.removeAttribute("title");
  }
  list.replaceChildren(
    ...found.problems.map((one) => {
      const where = one.file ? `${one.file}: ` : one.row === null ? "" : `Row ${one.row + 1}: `;
      const item = element("li", where + one.message + (one.hint ? ` – ${one.hint}` : ""), one.warning ? "warning" : "error");
      const place = one.row === null ? form.querySelector(`[data-key="${one.key}"]`) : rows.children[one.row]?.querySelector(`.${one.key || "remote"}`);
      if (place && !one.file) {
        place.setAttribute("aria-invalid", "true");
        place.title = one.message;
      }
      return item;
    }),
  );
  if (!found.problems.length) list.append(element("li", "none", "quiet"));
  const count = document.getElementById("count");
  count.hidden = !found.problems.length;
  count.textContent = `${found.problems.length} problem${found.problems.length === 1 ? "" : "s"}`;
  count.className = `state ${errors.length ? "bad" : "warn"}`;
  const lines = (found.difference || "nothing changed").split("\n");
  document.getElementById("difference").replaceChildren(
    ...lines.map((line) => element("span", `${line}\n`, line.startsWith("+") ? "added" : line.startsWith("-") ? "gone" : "")),
  );
  if (saveButton) saveButton.disabled = errors.length > 0 || found.text === null || (!found.difference && digest !== null);
  offer();
  if (preview.on) follow(errors.length > 0 || found.text === null);
}

// In legacy mode only what it can map is offered.
function offer() {
  const mode = form.querySelector('[data-key="mode"]').value || "legacy";
  document.getElementById("loyalty-fields").replaceChildren(...options.filter((one) => one.dataset.modes.split(" ").includes(mode)));
}

async function check() {
  if (saving) return; // the file is about to be another one; what it says then is checked after
  const number = ++asked;
  try {
    const found = await ask("check", draft());
    if (number === asked) show(found);
  } catch (error) {
    if (number === asked) said.textContent = error.message;
  }
}

let timer;
function changed() {
  said.textContent = "";
  if (saveButton) saveButton.disabled = true;
  clearTimeout(timer);
  timer = setTimeout(check, 250);
}

function kind(row) {
  const constant = row.querySelector(".kind").value === "constant";
  row.querySelector(".loyalty").hidden = row.querySelector(".pair").hidden = constant;
  row.querySelector(".value").hidden = !constant;
}

form.addEventListener("input", (event) => {
  const row = event.target.closest("tr");
  if (event.target.matches(".kind")) kind(row);
  if (event.target.matches(".add-transform") && event.target.value) {
    const list = row.querySelector(".transform");
    list.value = [list.value.trim(), event.target.value].filter(Boolean).join(", ");
    event.target.value = "";
    list.focus();
  }
  changed();
});

rows.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const row = button.closest("tr");
  if (button.matches(".up")) row.previousElementSibling?.before(row);
  else if (button.matches(".down")) row.nextElementSibling?.after(row);
  else {
    const next = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    (next?.querySelector(".remove") ?? document.getElementById("add")).focus();
  }
  if (row.isConnected) button.focus();
  changed();
});

document.getElementById("add").addEventListener("click", () => {
  rows.append(document.getElementById("row").content.cloneNode(true));
  rows.lastElementChild.querySelector(".live").hidden = !preview.on;
  rows.lastElementChild.querySelector(".loyalty").focus();
  changed();
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (!saveButton || saveButton.disabled) return;
  saveButton.disabled = saving = true;
  asked++; // an answer about the file as it was says nothing any more
  // What the form says now is what the file says then; somebody may go on writing until the answer comes.
  const written = new Map(keys.map((input) => [input.dataset.key, input.value]));
  const sent = [...rows.children];
  try {
    const saved = await ask("save", draft());
    said.textContent = "Saved. The next run uses it.";
    digest = saved.digest;
    fileText = saved.text;
    for (const [key, value] of written) loaded.set(key, value);
    sent.forEach((row, index) => { row.dataset.origin = index; });
    if (window.location.search) history.replaceState(null, "", window.location.pathname);
  } catch (error) {
    said.textContent = error.message;
    saveButton.disabled = false;
  }
  saving = false;
  await check();
});

async function busy(button, work) {
  button.disabled = true;
  said.textContent = "Asking …";
  try {
    await work();
    said.textContent = "";
  } catch (error) {
    said.textContent = error.message;
  }
  button.disabled = false;
}

const on = (id, work) => {
  const button = document.getElementById(id);
  button?.addEventListener("click", () => busy(button, work));
};

// The text of what the form says now, over the file as it was loaded: also when the file is another one by now.
on("download", async () => {
  const { text } = await ask("text", { ...draft(), loaded: fileText });
  // Airflow's frame may not download by itself; its page around the frame is of the same origin, and may.
  const outer = window.parent === window ? document : window.parent.document;
  const link = outer.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/yaml" }));
  link.download = `${form.dataset.name}.yaml`;
  outer.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});

on("load-lists", async () => {
  const { lists } = await ask("lists");
  const input = form.querySelector('[data-key="list"]');
  const select = element("select");
  select.dataset.key = "list";
  const ids = lists.map((one) => String(one.id));
  if (!ids.includes(input.value)) select.append(new Option(`${input.value} (not among Ometria's lists)`, input.value));
  for (const one of lists) {
    const fits = one.type === "STATIC" ? "" : ` – ${one.type.toLowerCase()}: takes no members`;
    select.append(new Option(`${one.title} (${one.id}${one.size === null ? "" : `, ${one.size} contacts`})${fits}`, one.id));
  }
  select.value = input.value;
  keys[keys.indexOf(input)] = select;
  input.replaceWith(select);
  document.getElementById("load-lists").hidden = true;
  select.focus();
});

on("load-fields", async () => {
  const found = await ask("fields");
  options.length = 0;
  for (const one of found.fields) {
    const filled = one.filled === null ? "" : `, filled by ${one.filled} of ${found.members}`;
    const option = element("option", `${one.type}${filled}: ${one.meaning}`);
    option.value = one.name;
    option.dataset.modes = one.modes.join(" ");
    options.push(option);
  }
  offer();
  document.getElementById("looked").textContent = `${found.fields.length} fields of the ${found.members} newest members are offered.`;
});

preview.button?.addEventListener("click", () => turn(!preview.on) && check());

function turn(on) {
  preview.on = on;
  preview.button.setAttribute("aria-pressed", String(on));
  for (const cell of form.querySelectorAll(".live")) cell.hidden = !on;
  const place = document.getElementById("previewed");
  place.replaceChildren();
  place.classList.remove("old");
  if (on) place.append(element("h2", "Preview on live members"), element("p", "Asking Antavo …", "quiet"));
  return on;
}

async function follow(broken) {
  const place = document.getElementById("previewed");
  place.classList.toggle("old", broken);
  if (!place.querySelector("table")) place.lastElementChild.textContent = broken ? "It needs a file without errors." : "Asking Antavo …";
  preview.due = !broken;
  if (preview.busy) return;
  preview.busy = true;
  while (preview.on && preview.due) {
    preview.due = false;
    try {
      const { members } = await ask("preview", draft());
      if (preview.on) showPreview(members);
    } catch (error) {
      // What was written meanwhile may be wrong, and is checked next; a server that does not answer is asked no more.
      if (preview.due) continue;
      turn(false);
      said.textContent = `No preview: ${error.message}`;
    }
  }
  preview.busy = false;
}

function showPreview(members) {
  const parts = [element("h2", "Preview on live members")];
  if (!members.length) parts.push(element("p", "Antavo has no customers."));
  const example = members.find((one) => one.outcome === "record") ?? members[0];
  for (const row of rows.children) {
    const remote = row.querySelector(".remote").value.trim();
    const found = example?.fields.find((one) => one.remote === remote);
    const cell = row.querySelector(".live");
    cell.textContent = found?.sent || "–";
    cell.title = found ? found.way : "";
    cell.classList.toggle("quiet", !found?.sent);
  }
  document.getElementById("example").textContent = example ? `Customer ${example.customer}` : "";
  for (const member of members) {
    const fate = { record: "makes a record", filtered: "left out", rejected: "rejected" }[member.outcome];
    const why = member.reasons.join("; ");
    parts.push(element("h3", `Customer ${member.customer}: ${fate}${why ? ` (${why})` : ""}`));
    const table = element("table", "", "preview");
    const head = table.createTHead().insertRow();
    for (const name of ["Loyalty field", "Value, and after each transform", "Remote field", "Sent"]) head.append(element("th", name));
    const body = table.createTBody();
    for (const field of member.fields) {
      const row = body.insertRow();
      for (const cell of [field.loyalty, field.way, field.remote, field.sent]) row.insertCell().textContent = cell;
    }
    const around = element("div", "", "scroll");
    around.append(table);
    parts.push(around);
  }
  document.getElementById("previewed").replaceChildren(...parts);
}

check();
