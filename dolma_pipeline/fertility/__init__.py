"""How many tokens tokenizers need for the texts of a corpus, by source and by language: counted per shard, added up."""
