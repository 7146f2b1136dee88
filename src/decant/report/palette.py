"""The colours of every chart."""

# Okabe and Ito's palette, told apart under every common colour blindness; yellow is left out, it fades on white.
COLOURS = ("#5b5b5b", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
# Light and dark: the grey would fade on black, the blue nearly so.
COLOURS_ON_ANY_GROUND = ("#858585", "#2f86c9", *COLOURS[2:])
INK = "#262626"
FAINT = "#c9c9c9"
