/**
 * Example pictures in colour, painted here.
 */

/** Names of the examples. */
export const LANDSCAPES = ["morning", "noon", "evening"];

const COLOURS = {
  morning: ["#7fb2e5", "#f7d9c4", "#fff3d6", "#6b8fa3", "#3f6b4f"],
  noon: ["#2f7fd1", "#bfe3ff", "#fffbe0", "#5f9e6e", "#2c6e35"],
  evening: ["#2b2350", "#f0713a", "#ffd27a", "#5a3350", "#2a1c33"],
};

/**
 * Paint a landscape: a sky, a sun and two rows of hills.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {string} name one of `LANDSCAPES`
 */
export function paintLandscape(context, name) {
  const { width, height } = context.canvas;
  const [above, below, sun, far, near] = COLOURS[name];
  const sky = context.createLinearGradient(0, 0, 0, 0.7 * height);
  sky.addColorStop(0, above);
  sky.addColorStop(1, below);
  context.fillStyle = sky;
  context.fillRect(0, 0, width, height);
  context.fillStyle = sun;
  context.beginPath();
  context.arc(0.68 * width, 0.34 * height, 0.11 * width, 0, 2 * Math.PI);
  context.fill();
  for (const [colour, top, reach, phase] of [[far, 0.62, 0.07, 0.8], [near, 0.78, 0.05, 3]]) {
    context.fillStyle = colour;
    context.beginPath();
    context.moveTo(0, height);
    for (let x = 0; x <= width; x++) context.lineTo(x, height * (top - reach * Math.sin((7 * x) / width + phase)));
    context.lineTo(width, height);
    context.fill();
  }
}
