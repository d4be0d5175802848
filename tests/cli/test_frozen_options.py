"""Commands and options as users type them: a change here is a change of the interface, and belongs in the changelog."""

from __future__ import annotations

import pytest

from dolma_pipeline.cli.main import COMMANDS, make_parser

FROZEN = {
    "run": """
        --set --work-dir --scratch-dir --renamed --processes --address --force --keep-scratch --json --quiet --report
    """,
    "plan": """
        --set --work-dir --scratch-dir --renamed
    """,
    "verify": "",
    "explain": "--source --rule --sample --json --html",
    "clean": "--dry-run --moved",
    "tag": """
        --documents --destination --tagger_modules --taggers --experiment --processes --ignore_existing --debug
        --profile.enable --profile.output --profile.steps --profile.sort_key --profile.lines --work_dir.input
        --work_dir.output --dryrun
    """,
    "dedupe": """
        --documents --work_dir.input --work_dir.output --dedupe.name --dedupe.documents.attribute_name
        --dedupe.documents.key --dedupe.paragraphs.attribute_name --dedupe.paragraphs.by_ngram.ngram_length
        --dedupe.paragraphs.by_ngram.stride --dedupe.paragraphs.by_ngram.overlap_threshold
        --dedupe.paragraphs.by_ngram.skip_short_paragraphs --dedupe.paragraphs.paragraph_separator
        --dedupe.skip_empty --dedupe.min_length --dedupe.min_words --dedupe.num_partitions --dedupe.partition_index
        --dedupe.file_partition --dedupe.document_dir --bloom_filter.file --bloom_filter.size_in_bytes
        --bloom_filter.read_only --bloom_filter.estimated_doc_count --bloom_filter.desired_false_positive_rate
        --processes --compression.input --compression.output --dryrun --is_s3_volume
    """,
    "mix": """
        --streams --work_dir.input --work_dir.output --processes --shuffle --dryrun
    """,
    "tokens": """
        --documents --destination --tokenizer_name_or_path --tokenizer.name_or_path --tokenizer.bos_token_id
        --tokenizer.eos_token_id --tokenizer.pad_token_id --tokenizer.segment_before_tokenization
        --tokenizer.refresh --tokenizer.fast --tokenizer.encode_special_tokens --tokenizer.engine
        --processes --files_per_process
        --batch_size --ring_size --fields.text_field_name --fields.text_field_type --fields.id_field_name
        --fields.id_field_type --sample_ring_prop --max_size --dtype --debug --seed --work_dir.input
        --work_dir.output --dryrun --pack.length --pack.by --pack.long_documents --pack.min_length --pack.rest
        --pack.label_mask --no-pack.label_mask --pack.mask_first --no-pack.mask_first
    """,
    "tokens inspect": """
        --range --id --document --verify --scan --json --sample --allow-missing --text-field --id-field
        --encode-special-tokens --segment --tokenizer --bos --eos --pad --dtype
    """,
    "tokens reshard": """
        --source_prefixes --destination_prefix --order --max_tokens --max_size_bytes --max_num_files --max_workers
        --random_seed --tokenizer_name_or_path --bos_token_id --eos_token_id --pad_token_id --dtype --local_tempdir
        --pack.length --pack.by --pack.long_documents --pack.min_length --pack.rest --pack.label_mask --pack.mask_first
        --work_dir.input --work_dir.output --dryrun
    """,
    "tokens convert": """
        --source --destination --to --from --max_tokens --tokenizer_name_or_path --bos_token_id --eos_token_id
        --pad_token_id --dtype --source_dtype --processes --work_dir.input --work_dir.output --dryrun
    """,
    "stat": """
        --attributes --report --bins --processes --seed --total --regex --debug --work_dir.input --work_dir.output
        --documents --expression --sweep --drop --recipe --mix --examples
    """,
    "train-classifier": """
        --output --positive --negative --labels --documents --attributes --target --held_out --max_documents --lower
        --strip --removal_rates --fasttext.dim --fasttext.epoch --fasttext.learning_rate --fasttext.word_ngrams
        --fasttext.min_count --fasttext.bucket --fasttext.min_n --fasttext.max_n --fasttext.loss --quantize.cutoff
        --quantize.retrain --quantize.qnorm --quantize.dsub --seed --processes --work_dir.input --work_dir.output
        --dryrun
    """,
    "train-tokenizer": """
        --documents --output --vocab_size --sample_bytes --weights --special_tokens --pre_tokenizer --digits
        --normalizer --min_frequency --holdout --text_field --id_field --seed --dryrun
    """,
    "fertility": """
        --documents --tokenizer --by --attributes --baseline --sample --report --json --text_field --id_field --seed
        --processes --work_dir.input --work_dir.output --dryrun
    """,
    "list": """
        --json
        --stage_modules
        --stages
        --tagger_modules
    """,
}
NEGATED = {
    "run": {"--no-report"},
    "tag": {"--no-ignore_existing", "--no-debug", "--no-profile.enable", "--no-dryrun"},
    "dedupe": {
        "--no-dedupe.paragraphs.by_ngram.skip_short_paragraphs",
        "--no-dedupe.skip_empty",
        "--no-dedupe.file_partition",
        "--no-bloom_filter.read_only",
        "--no-dryrun",
        "--no-is_s3_volume",
    },
    "mix": {"--no-shuffle", "--no-dryrun"},
    "tokens": {
        "--no-tokenizer.segment_before_tokenization",
        "--no-tokenizer.fast",
        "--no-tokenizer.encode_special_tokens",
        "--no-sample_ring_prop",
        "--no-debug",
        "--no-dryrun",
    },
    "tokens reshard": {"--no-dryrun", "--no-pack.label_mask", "--no-pack.mask_first"},
    "tokens convert": {"--no-dryrun"},
    "stat": {"--no-total", "--no-debug"},
    "train-classifier": {
        "--no-lower",
        "--no-strip",
        "--no-quantize.retrain",
        "--no-quantize.qnorm",
        "--no-dryrun",
    },
    "train-tokenizer": {"--no-dryrun"},
    "fertility": {"--no-json", "--no-dryrun"},
}
MAPPED = {"tag", "dedupe", "tokens", "stat", "train-classifier", "train-tokenizer", "fertility"}
COLUMNS = {f"--columns.{name}" for name in ("id", "text", "source", "url", "added", "created", "version", "metadata")}
EVERYWHERE = {"-h", "--help", "-c", "--config"}


def test_commands() -> None:
    assert list(COMMANDS) == list(FROZEN)
    assert set(make_parser()[0].option_strings()) == EVERYWHERE | {"--version"}


@pytest.mark.parametrize("command", FROZEN)
def test_options(command: str) -> None:
    options = make_parser(command)[1][command].option_strings()
    columns = COLUMNS if command in MAPPED else set()
    assert set(options) - EVERYWHERE == set(FROZEN[command].split()) | NEGATED.get(command, set()) | columns
