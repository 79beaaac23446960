// Follow Airflow's theme: its page around the frame says which one is on. Loaded before the style, so that nothing
// flashes; by itself a page goes by what Airflow remembers, else by the browser's wish.
(() => {
  const root = document.documentElement;
  let outer = null;
  try {
    outer = window.parent === window ? null : window.parent.document.documentElement;
  } catch {
    outer = null; // another site's frame, which the Content-Security-Policy forbids anyway
  }
  const wish = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => {
    if (outer) return outer.classList.contains("dark");
    const kept = window.localStorage.getItem("theme");
    return kept === "dark" || (kept !== "light" && wish.matches);
  };
  const apply = () => root.classList.toggle("dark", isDark());
  apply();
  wish.addEventListener("change", apply);
  window.addEventListener("storage", apply);
  if (outer) new MutationObserver(apply).observe(outer, { attributes: true, attributeFilter: ["class"] });
})();
