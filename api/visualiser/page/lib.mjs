/** The template library, from where the server has it. */
export { html, svg, nothing, render } from '/visualiser/lib/lit-html/lit-html.js';
export { repeat } from '/visualiser/lib/lit-html/directives/repeat.js';
export { live } from '/visualiser/lib/lit-html/directives/live.js';
