"""What the page around a panel is like: light or dark, and how wide the panel is in it.

Neither is known to the kernel, and both change while a panel stands: the theme with the reader's
settings, the width with the window. An empty line of the panel watches them. It also gives sliders
their labels for screen readers, which ipywidgets leaves out.
"""

from __future__ import annotations

import anywidget
import traitlets

_LOOKS = """
function isDark(element) {
  for (let node = element; node; node = node.parentElement) {
    const [red, green, blue, alpha = 1] =
      (getComputedStyle(node).backgroundColor.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
    if (alpha > 0.5) return 0.3 * red + 0.59 * green + 0.11 * blue < 128;
  }
  return false;
}
function nameSliders(panel) {
  // A control without a hint gets the word "null" for one.
  for (const label of panel.querySelectorAll('.widget-label[title="null"]'))
    label.title = label.textContent;
  for (const slider of panel.querySelectorAll(".widget-slider")) {
    const label = slider.querySelector(".widget-label");
    const name = label && (label.title || label.textContent);
    for (const handle of slider.querySelectorAll("[role=slider]"))
      if (name) handle.setAttribute("aria-label", name);
  }
}
function render({ model, el }) {
  el.style.width = "100%";
  el.style.height = "0px";
  el.setAttribute("aria-hidden", "true");
  let later, watched;
  const look = () => {
    const width = Math.floor(el.getBoundingClientRect().width);
    if (!width) return;  // not in the page, or in a tab that is hidden
    model.set("dark", isDark(el));
    model.set("width", width);
    model.save_changes();
    const panel = el.closest(".steering-explorer");
    if (panel && panel !== watched) {
      watched = panel;
      rows.observe(panel, { childList: true, subtree: true });
    }
    if (panel) nameSliders(panel);
  };
  const soon = () => { clearTimeout(later); later = setTimeout(look, 150); };
  const sizes = new ResizeObserver(soon);
  sizes.observe(el);
  const themes = new MutationObserver(soon);
  themes.observe(document.body, { attributes: true });
  const rows = new MutationObserver(soon);
  look();
  return () => {
    clearTimeout(later);
    for (const observer of [sizes, themes, rows]) observer.disconnect();
  };
}
export default { render };
"""


# Four titles fit a narrow window, and what a vector is called or how a step went is read whole.
_CSS = """
.steering-explorer .lm-TabBar-tab { min-width: 0 !important; padding: 0 5px !important; }
.steering-explorer .jupyter-widgets.widget-label, .steering-explorer .widget-checkbox,
.steering-explorer .widget-checkbox label {
  white-space: normal; overflow-wrap: anywhere; height: auto; line-height: 1.5;
}
"""


class Surroundings(anywidget.AnyWidget):
    """An empty line that tells what is around it: `dark`, and `width` in pixels (0: not known)."""

    _esm, _css = _LOOKS, _CSS
    dark = traitlets.Bool(False).tag(sync=True)
    width = traitlets.Int(0).tag(sync=True)
