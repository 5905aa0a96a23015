// Starts the sections for which there is data, and says what the others would need.

setTheme(theme);

const sections = {
  poses: {data: report.sequences, start: () => new Player(),
    needs: "poses and errors (give refined.npz)"},
  quality: {data: report.clips?.some((clip) => clip.quality) ? report.clips : undefined,
    start: () => new Plausibility()},
  tables: {data: report.scores, start: () => new Tables(),
    needs: "errors (they need pose_3d and noisy_3d in the dataset)"},
  diffusion: {data: report.diffusion, start: () => new Diffusion(),
    needs: "the path of the diffusion and attention (give a dataset and refiner.safetensors, or " +
      "a file of posetape inspect)"},
  attention: {data: report.attention, start: () => new Attention()},
  lens: {data: report.lens, start: () => new LensView()},
  ablation: {data: report.ablation, start: () => new AblationView()},
  saliency: {data: report.saliency, start: () => new SaliencyView()},
  noise: {data: report.noise, start: () => new Noise(),
    needs: "the conditional noise (give a dataset and refiner.safetensors)"},
  training: {data: report.training, start: () => new Training(),
    needs: "training (give the log, refiner.log.jsonl)"},
};

byId("files").textContent = `Made by posetape report from ${report.files.join(", ")}.`;
const absent = [];
for (const [id, section] of Object.entries(sections)) {
  if (!section.data) {
    if (section.needs) absent.push(section.needs);
    continue;
  }
  const place = byId(id);
  place.hidden = false;
  byId("sections").append(make("a", {href: `#${id}`}, place.dataset.title));
  section.view = section.start();
}
if (absent.length > 0) byId("absent").textContent = `Not in this report: ${absent.join("; ")}.`;
