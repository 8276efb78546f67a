"""Whether everyone can read a page: what the tests of pages in a browser share."""

from __future__ import annotations

from typing import Any

import numpy as np

# Text that stands out from what lies behind it by less than 4.5 to 1 (WCAG 2, AA).
FAINT = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => {
    const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = rgb.slice(0, 3).map((v) => linear(v / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const rgb = parse(getComputedStyle(e).backgroundColor);
      if (rgb.length === 3 || rgb[3] > 0) return rgb;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(e.tagName) || e.closest("svg")) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.push(e.tagName + ": " + e.textContent.trim().slice(0, 30));
  }
  return faint;
}"""
# What has neither a label nor a text; pictures that say nothing.
NAMELESS = """() => [...document.querySelectorAll("input,select,button")].filter(
  (e) => !(e.labels && e.labels.length) && !e.getAttribute("aria-label") && !e.textContent.trim()
).length"""
SILENT = """() => [...document.querySelectorAll("svg")].filter(
  (e) => !e.getAttribute("aria-label") && e.getAttribute("aria-hidden") !== "true"
).length"""


def assert_accessible(opened: Any) -> None:
    """Inputs have labels, headings skip no level, text stands out by 4.5 to 1, pictures say what they show."""
    assert opened.evaluate("document.documentElement.lang") == "en"
    assert opened.evaluate(NAMELESS) == 0
    levels = opened.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(e => Number(e.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(np.diff(levels), default=0) <= 1
    assert opened.evaluate(SILENT) == 0
    assert opened.evaluate(FAINT) == []
