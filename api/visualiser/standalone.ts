/** How a picture looks that stands alone: in a document, in light and dark. */
export const standaloneStyle = [
  'text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:#18222e}',
  '.line{fill:#526174}.compound>.name{font-weight:600}',
  '.state rect{fill:#fff;stroke:#8b9bb0;stroke-width:1.2}.compound>rect{fill:#f4f7fa}.region>rect{stroke-dasharray:5 4}',
  '.behind{fill:#fff;fill-opacity:.8}.way path,.start{fill:none;stroke:#74869d;stroke-width:1.2}',
  '.head{fill:#74869d}.initial{fill:#526174}.state.lit>rect{stroke:#0b5cad;stroke-width:2}.atomic.lit>rect{fill:#d7e9ff}',
].join('');
