// Runs in a page: pairs of texts of one statechart that lie over one another.
(() => {
  const found = [];
  for (const svg of document.querySelectorAll('svg.chart')) {
    const texts = [...svg.querySelectorAll('text')]
      .filter((text) => text.textContent.trim() !== '' && text.getClientRects().length > 0)
      .map((text) => ({ words: text.textContent.trim(), box: text.getBoundingClientRect() }));
    // Boxes of fonts are higher than what is drawn of them.
    const slack = 2;
    texts.forEach(({ words, box }, index) => {
      for (const other of texts.slice(index + 1)) {
        const wide = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
        const high = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
        if (wide > slack && high > slack) found.push(`${words} / ${other.words}`);
      }
    });
  }
  return found;
})();
