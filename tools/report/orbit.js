// A camera that turns around the hip, and skeletons drawn through it.

// Poses are in camera space: x to the right, y down, z away from the camera, metres.
class Orbit {
  constructor() {
    this.changed = [];
    this.radius = 1;  // of the ball that fits the view, metres
    this.reset();
  }

  // Pitch 0 is the camera's height, above it from above.
  reset(yaw = 0, pitch = 0) {
    this.yaw = yaw;
    this.pitch = pitch;
    this.zoom = 1;
    this.notify();
  }

  turn(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = Math.max(-1.5, Math.min(1.5, this.pitch + pitch));
    this.notify();
  }

  scale(factor) {
    this.zoom = Math.max(0.3, Math.min(8, this.zoom * factor));
    this.notify();
  }

  notify() {
    for (const redraw of this.changed) redraw();
  }

  // A function from metres to [x, y, depth] on a canvas: pixels, and metres behind the hip.
  projection(width, height) {
    const [cy, sy] = [Math.cos(this.yaw), Math.sin(this.yaw)];
    const [cp, sp] = [Math.cos(this.pitch), Math.sin(this.pitch)];
    const distance = 4;  // of the eye; the perspective of a camera four metres away
    const pixels = 0.46 * Math.min(1.3 * width, height) / this.radius * this.zoom;
    return (x, y, z) => {
      const a = cy * x + sy * z;
      const b = -sy * x + cy * z;
      const down = cp * y - sp * b;
      const depth = sp * y + cp * b;
      const near = pixels * distance / Math.max(0.5, distance + depth);
      return [width / 2 + a * near, height / 2 + down * near, depth];
    };
  }

  // Turns and zooms by pointers, wheel and keys on a canvas. `onClick` gets the place of a click.
  attach(canvas, onClick) {
    const pointers = new Map();
    let moved = 0;
    const spread = () => {
      const [a, b] = [...pointers.values()];
      return Math.hypot(a[0] - b[0], a[1] - b[1]);
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, place(event, canvas));
      moved = 0;
    });
    canvas.addEventListener("pointermove", (event) => {
      const before = pointers.get(event.pointerId);
      if (!before) return;
      const two = pointers.size === 2;
      const apart = two ? spread() : 0;
      const now = place(event, canvas);
      pointers.set(event.pointerId, now);
      moved += Math.hypot(now[0] - before[0], now[1] - before[1]);
      if (two) this.scale(spread() / Math.max(1, apart));
      else this.turn((before[0] - now[0]) / 150, (now[1] - before[1]) / 150);
    });
    const end = (event) => {
      if (event.type === "pointerup" && pointers.size === 1 && moved < 5) {
        onClick?.(place(event, canvas));
      }
      pointers.delete(event.pointerId);
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;  // the page scrolls
      event.preventDefault();
      this.scale(Math.exp(-event.deltaY / 200));
    }, {passive: false});
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("keydown", (event) => {
      const act = {
        ArrowLeft: () => this.turn(0.1, 0), ArrowRight: () => this.turn(-0.1, 0),
        ArrowUp: () => this.turn(0, 0.1), ArrowDown: () => this.turn(0, -0.1),
        "+": () => this.scale(1.15), "=": () => this.scale(1.15), "-": () => this.scale(1 / 1.15),
        0: () => this.reset(),
      }[event.key];
      if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      act();
    });
  }
}

// The 17 points of frame f of poses [F][17][channels], projected.
function projected(poses, f, project, channels = 3) {
  const points = [];
  for (let j = 0; j < jointCount; ++j) {
    const at = (f * jointCount + j) * channels;
    points.push(project(poses[at], poses[at + 1], channels === 3 ? poses[at + 2] : 0));
  }
  return points;
}

// Skeletons [{points, kind, guessed}] with what is nearer over what is behind it. The person's left
// is paler than the right. Joints that nobody saw, where guessed(joint) says so, and their bones
// are faint.
function drawSkeletons(context, skeletons) {
  const parts = [];
  for (const {points, kind, guessed = () => false} of skeletons) {
    skeleton.parents.forEach((parent, joint) => {
      const depth = points[joint][2];
      const faint = guessed(joint);
      const left = skeleton.left.includes(joint);
      if (parent >= 0) {
        parts.push({depth: (depth + points[parent][2]) / 2, kind, left, from: points[parent],
          to: points[joint], faint: faint || guessed(parent)});
      }
      if (kind.dots) parts.push({depth: depth - 0.01, kind, left, dot: points[joint], faint});
    });
  }
  parts.sort((a, b) => b.depth - a.depth);
  context.lineCap = "round";
  for (const {kind, left, from, to, dot, faint} of parts) {
    context.globalAlpha = faint ? 0.25 : 1;
    context.strokeStyle = context.fillStyle = left ? pale(kind.colour) : colour(kind.colour);
    context.beginPath();
    if (dot) {
      context.arc(dot[0], dot[1], kind.dots, 0, 2 * Math.PI);
      context.fill();
    } else {
      context.lineWidth = kind.width;
      context.setLineDash(kind.dash);
      context.moveTo(from[0], from[1]);
      context.lineTo(to[0], to[1]);
      context.stroke();
    }
  }
  context.globalAlpha = 1;
  context.setLineDash([]);
}

// The outline of the ellipsoid p^T S^-1 p = 1 around a place: [x, y, half axes, turn]. The
// projection of an ellipsoid is, nearly, an ellipse whose matrix is P S P^T with P the derivative of
// the projection.
function outline(project, at, s) {
  const centre = project(...at);
  const rows = [0, 1].map((k) => [0, 1, 2].map((c) => {
    const moved = [...at];
    moved[c] += 1e-3;
    return (project(...moved)[k] - centre[k]) / 1e-3;
  }));
  const times = (a, b) => s.reduce((sum, row, i) =>
    sum + a[i] * row.reduce((inner, v, k) => inner + v * b[k], 0), 0);
  const [a, b, c] = [times(rows[0], rows[0]), times(rows[0], rows[1]), times(rows[1], rows[1])];
  const middle = (a + c) / 2;
  const half = Math.hypot((a - c) / 2, b);
  return [centre[0], centre[1], Math.sqrt(Math.max(0, middle + half)),
    Math.sqrt(Math.max(0, middle - half)), Math.atan2(2 * b, a - c) / 2];
}

// A floor of 0.25 m squares at height y, a metre around the hip.
function drawFloor(context, project, y) {
  context.strokeStyle = colour("line");
  context.lineWidth = 1;
  context.beginPath();
  for (let i = -4; i <= 4; ++i) {
    for (const [x0, z0, x1, z1] of [[i, -4, i, 4], [-4, i, 4, i]]) {
      const from = project(x0 / 4, y, z0 / 4);
      const to = project(x1 / 4, y, z1 / 4);
      context.moveTo(from[0], from[1]);
      context.lineTo(to[0], to[1]);
    }
  }
  context.stroke();
}

// The joint nearest to a place, within 14 pixels; -1 where there is none.
function nearestJoint(skeletons, [x, y]) {
  let best = 14;
  let found = -1;
  for (const {points} of skeletons) {
    points.forEach((point, joint) => {
      const distance = Math.hypot(point[0] - x, point[1] - y);
      if (distance < best) [best, found] = [distance, joint];
    });
  }
  return found;
}
