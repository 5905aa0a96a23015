// A canvas that is as sharp as the screen, and drawn at most once a frame: at once where it is seen,
// and where it isn't when the page has nothing else to do, or is printed. So a picture of the whole
// page shows it, too.
const surfaces = [];

class Surface {
  constructor(canvas, draw) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.draw = draw;
    this.visible = false;
    this.waiting = false;
    this.stale = true;
    new ResizeObserver(() => this.invalidate()).observe(canvas);
    new IntersectionObserver((entries) => {
      this.visible = entries[entries.length - 1].isIntersecting;
      if (this.visible && this.stale) this.invalidate();
    }, {rootMargin: "200px"}).observe(canvas);
    themed.push(() => this.invalidate());
    surfaces.push(this);
  }

  get width() { return this.canvas.clientWidth; }
  get height() { return this.canvas.clientHeight; }

  invalidate() {
    this.stale = true;
    if (!this.visible) paintLater();
    if (this.waiting || !this.visible) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
    });
  }

  paint() {
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(this.width * ratio);
    const height = Math.round(this.height * ratio);
    if (width === 0 || height === 0) return;  // its section is hidden
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, this.width, this.height);
    this.stale = false;
    this.draw(this.context, this.width, this.height);
  }
}

function paintStale() {
  // Those that were made anew (the steps of a path) leave theirs behind.
  for (let i = surfaces.length - 1; i >= 0; --i) {
    if (!surfaces[i].canvas.isConnected) surfaces.splice(i, 1);
    else if (surfaces[i].stale) surfaces[i].paint();
  }
}

// What nobody sees waits until nothing has changed for a while: a clip that plays is not drawn in
// places that are scrolled away.
let later = 0;
function paintLater() {
  clearTimeout(later);
  later = setTimeout(paintStale, 150);
}
addEventListener("beforeprint", paintStale);

// Where the pointer is on a canvas, in CSS pixels.
function place(event, canvas) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}
