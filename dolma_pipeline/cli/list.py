"""`dolma list`: the taggers there are, those of `--tagger_modules` included."""
