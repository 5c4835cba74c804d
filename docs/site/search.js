/* The search takes a dash before a word for "without it", so that options are looked up without their dashes. */
document.addEventListener("input", ({ target }) => {
  if (target.matches("[data-md-component=search-query]")) target.value = target.value.replace(/(^|\s)-+/g, "$1");
}, true);
