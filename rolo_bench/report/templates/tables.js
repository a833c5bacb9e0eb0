  // Tables of class "sortable": a button in each head but those with data-plain; numbers high to low first.
  document.querySelectorAll("table.sortable").forEach((table) => {
    const body = table.tBodies[0], heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach((head, column) => {
      if ("plain" in head.dataset) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const text = head.classList.contains("name") || head.classList.contains("left");
        const upFirst = text || column === 0 || /rank/i.test(button.textContent);
        const next = head.getAttribute("aria-sort") === (upFirst ? "ascending" : "descending");
        const up = upFirst ? !next : next;
        heads.forEach((h) => h.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const read = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
        body.append(...Array.from(body.rows).sort((a, b) => {
          if (text) return read(a).localeCompare(read(b)) * (up ? 1 : -1);
          const x = parseFloat(read(a)), y = parseFloat(read(b));
          if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
          return (x - y) * (up ? 1 : -1);
        }));
      });
    });
  });

  // On paper every disclosure is open.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = Array.from(document.querySelectorAll("details:not([open])"));
    closed.forEach((each) => { each.open = true; });
  });
  addEventListener("afterprint", () => { closed.forEach((each) => { each.open = false; }); });
  document.documentElement.dataset.ready = document.getElementById("data") ? "no" : "yes";
