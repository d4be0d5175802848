from pathlib import Path

from dolma_pipeline.config.recipe import Train
from dolma_pipeline.train.stage import MADE, TrainTask, start_over_if_changed, trainer_config


def test_starting_over_leaves_the_models_of_other_stages(tmp_path: Path) -> None:
    for name in ("tokens/manifest.json", f"train/{MADE}", "train/step-1/x", f"train/other/{MADE}", "train/other/y"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    config = TrainTask(
        train=Train(model="olmo-1m", steps=1), tokens=str(tmp_path / "tokens"), output=str(tmp_path / "train"), seed=1
    )

    def left() -> list[str]:
        return sorted(p.relative_to(tmp_path).as_posix() for p in (tmp_path / "train").rglob("*") if p.is_file())

    start_over_if_changed(tmp_path / "train", trainer_config(config), 1)
    assert left() == ["train/made.json", "train/other/made.json", "train/other/y"]
    (tmp_path / "train" / "step-1").mkdir()
    start_over_if_changed(tmp_path / "train", trainer_config(config), 1)
    assert (tmp_path / "train" / "step-1").is_dir()
