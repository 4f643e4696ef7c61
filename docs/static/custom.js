// What scrolls sideways can be reached, and so scrolled, with the keyboard.
const WIDE = '.cell_output, div.math, div.highlight pre, .table-wrapper'

function reachable() {
  for (const box of document.querySelectorAll(WIDE))
    if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0
    else box.removeAttribute('tabindex')
}

addEventListener('load', reachable)
addEventListener('resize', reachable)
document.fonts.ready.then(reachable)
