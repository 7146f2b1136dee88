"use strict";
// Draws the figures of the page, and shows or hides what its check boxes say. Without the library the numbers remain.
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  if (typeof Plotly === "undefined") {
    for (const node of document.querySelectorAll(".plot, .toggles")) node.hidden = true;
    return;
  }
  const axis = { automargin: true, zeroline: false, showline: false, ticks: "" };
  const common = {
    autosize: true,
    margin: { t: 12, r: 12, b: 40, l: 48 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { size: 12, family: "inherit" },
    showlegend: false,
    hovermode: "closest",
    dragmode: false,
  };
  const settings = { displayModeBar: false, responsive: true, staticPlot: false };
  const draw = (node) => {
    const { data, layout } = figures[node.id];
    const whole = { ...common, ...layout, xaxis: { ...axis, ...layout.xaxis }, yaxis: { ...axis, ...layout.yaxis } };
    return Plotly.newPlot(node, data, whole, settings);
  };
  for (const node of document.querySelectorAll(".plot")) draw(node);
  const show = (box) => {
    for (const node of box.closest(".drawn").querySelectorAll(".plot")) {
      const places = figures[node.id].data.flatMap((line, place) => (line.legendgroup === box.dataset.group ? [place] : []));
      if (places.length) Plotly.restyle(node, { visible: box.checked }, places);
    }
  };
  const boxes = [...document.querySelectorAll(".toggles input")];
  // A page that is written again while training runs is loaded again: what was hidden stays hidden.
  const key = (box) => `${boxes.indexOf(box)} ${box.dataset.group}`;
  const hidden = new Set((history.state && history.state.hidden) || []);
  for (const box of boxes) {
    box.checked = !hidden.has(key(box));
    if (!box.checked) show(box);
    box.addEventListener("change", () => {
      show(box);
      history.replaceState({ hidden: boxes.filter((each) => !each.checked).map(key) }, "");
    });
  }
  const resize = () => document.querySelectorAll(".plot").forEach((node) => Plotly.Plots.resize(node));
  addEventListener("beforeprint", resize);
  addEventListener("afterprint", resize);
})();
