// Runs in a page: texts whose contrast with what is behind them is below 4.5 to 1 (WCAG AA), with their ratios; of pictures too.
(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r = 0, g = 0, b = 0]) => {
    const part = (value) => (value / 255 <= 0.03928 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const over = (above, below) => {
    const part = above[3] / 255;
    return [0, 1, 2].map((index) => above[index] * part + below[index] * (1 - part)).concat(255);
  };
  const holds = (box, { left, right, top, bottom }) =>
    box.left <= (left + right) / 2 &&
    box.right >= (left + right) / 2 &&
    box.top <= (top + bottom) / 2 &&
    box.bottom >= (top + bottom) / 2;
  /** What was painted before a text and lies under its middle. */
  const behindText = (text) => {
    const svg = text.closest('svg');
    const place = text.getBoundingClientRect();
    let colour = behind(svg.parentElement);
    for (const rect of svg.querySelectorAll('rect')) {
      if (rect.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_PRECEDING) continue;
      const { fill, fillOpacity } = getComputedStyle(rect);
      if (fill === 'none' || !holds(rect.getBoundingClientRect(), place)) continue;
      const [r, g, b, a] = rgba(fill);
      colour = over([r, g, b, a * Number(fillOpacity)], colour);
    }
    return colour;
  };
  const ratioOf = (one, other) => {
    const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  };
  const poor = [];
  const note = (element, ratio) => {
    if (ratio < 4.5) poor.push(`${element.textContent.trim().slice(0, 30)}: ${ratio.toFixed(2)}`);
  };
  for (const element of document.querySelectorAll('body *:not(svg *)')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim() !== '');
    if (!own || element.closest(':disabled') || !element.offsetParent) continue;
    note(element, ratioOf(rgba(getComputedStyle(element).color), behind(element)));
  }
  for (const text of document.querySelectorAll('svg text')) {
    if (text.textContent.trim() === '' || text.getClientRects().length === 0) continue;
    note(text, ratioOf(rgba(getComputedStyle(text).fill), behindText(text)));
  }
  return poor;
})();
