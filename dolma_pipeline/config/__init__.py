"""From a recipe file to a typed recipe, with an error that names the line where that is not possible."""
