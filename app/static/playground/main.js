/**
 * The page: its panels, and what they share.
 */
import { apiKey, Problem, setApiKey } from "./api.js";
import { button, element } from "./dom.js";
import { modelsOfAnySize, modelsOfSounds } from "./models.js";
import { readState } from "./state.js";

/**
 * The panels by their ids, in the order of the tabs. A module exports `show(root, values)`, which builds the panel in an
 * empty element, and may return a function that is called when it is left. `values` is the state of the URL.
 */
const PANELS = {
  digits: "Digits",
  latent: "Latent space",
  series: "Series",
  data: "Your data",
  texts: "Texts",
  compression: "Compression",
  pictures: "Pictures",
  sounds: "Sounds",
  models: "Models",
};
/** The panels that are offered only on some servers, and whether they are on this one. */
const OFFERED = {
  pictures: async () => (await modelsOfAnySize()).length > 0,
  sounds: async () => (await modelsOfSounds()).length > 0,
};
const THEMES = ["auto", "light", "dark"];

let leave = null;
let nShown = 0;

async function showPanel() {
  const { panel: asked, values } = readState();
  const id = Object.hasOwn(PANELS, asked) ? asked : "digits";
  if (id !== asked) history.replaceState(null, "", `#${id}`);
  for (const link of document.querySelectorAll("#tabs a")) {
    if (link.hash !== `#${id}`) {
      link.removeAttribute("aria-current");
      continue;
    }
    link.setAttribute("aria-current", "page");
    link.scrollIntoView({ block: "nearest", inline: "center" });  // on a phone, the tabs are wider than the page
  }
  document.title = `${PANELS[id]} · Manifold`;
  leave?.();
  leave = null;
  const number = ++nShown;
  const main = document.getElementById("panel");
  const root = element("article", { id: `panel-${id}` });
  main.replaceChildren(element("h1", {}, PANELS[id]), root);
  const module = await import(`./panels/${id}.js`);
  const left = await module.show(root, values).catch((error) => showProblem(root, error));
  if (number === nShown) leave = left ?? null;
  else left?.();
  root.dataset.shown = "true";
}

/** Show why a panel cannot be shown. Where the server has keys, that is because none of them was given yet. */
function showProblem(root, error) {
  if (!(error instanceof Problem)) throw error;
  root.replaceChildren(element("div.problem", { role: "alert" },
    element("strong", {}, error.title), element("p", {}, error.message),
    error.status === 401 ? button("Enter an API key", askForKey) : null));
}

function showTheme() {
  const theme = document.documentElement.dataset.theme;
  document.getElementById("theme").textContent = `Theme: ${theme}`;
}

function nextTheme() {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  document.documentElement.dataset.theme = next;
  localStorage.setItem("theme", next);
  showTheme();
  window.dispatchEvent(new Event("themechange"));
}

function askForKey() {
  const input = element("input", { type: "password", value: apiKey(), autocomplete: "off", id: "key-input" });
  const close = () => {
    setApiKey(input.value.trim());
    dialog.remove();
    showTabs();
    showPanel();
  };
  const form = element("form", { method: "dialog" },
    element("label", { for: "key-input" }, "API key"), input,
    element("p", {}, "It is kept until this tab is closed, and sent to this server alone."),
    element("button", { type: "submit" }, "Use it"));
  const dialog = element("dialog", { onclose: close, "aria-label": "API key" }, form);
  document.body.append(dialog);
  dialog.showModal();
}

/** Show the tabs of the panels that are offered always; and the others, once it is known that they are. */
function showTabs() {
  const links = Object.entries(PANELS).map(([id, title]) =>
    element("a", { href: `#${id}`, hidden: Object.hasOwn(OFFERED, id) }, title));
  document.getElementById("tabs").replaceChildren(...links);
  for (const [id, isOffered] of Object.entries(OFFERED)) {
    const link = links.find(({ hash }) => hash === `#${id}`);
    isOffered().then((found) => (link.hidden = !found)).catch((error) => {
      if (!(error instanceof Problem)) throw error;  // the panel itself says why the server does not answer
    });
  }
}

document.getElementById("theme").addEventListener("click", nextTheme);
document.getElementById("key").addEventListener("click", askForKey);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("panel").focus();
});
window.addEventListener("hashchange", showPanel);
showTheme();
showTabs();
await showPanel();
