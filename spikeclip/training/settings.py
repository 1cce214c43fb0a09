"""The settings of a training: everything that decides the weights besides the data.

::

    [train]
    network = "lrn"
    stages = ["coarse", "prompt", "fine"]

    [train.clip]
    model = "ViT-B-32"
    weights = "openai"

    [train.fine]
    learning-rate = 1e-4

The defaults are the paper's values for U-CALTECH where it gives them; where it is silent, the reason is
beside the value.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, field_validator, model_validator

from hqgen.config import ENV, Count, Flag, Names, Section, split_names, validated
from spikeclip.clip.settings import ClipSettings
from spikeclip.data.settings import Entry, Spikes, demo_defaults

StageName = Literal["coarse", "prompt", "fine"]

_FLAWED = (
    "a {}noisy image",
    "a {}blurred image",
    "an image of {}low contrast",
    "an image with {}dark borders",
)
QUALITY_TEXTS = (
    "a clear image",
    *(text.format(grade) for text in (*_FLAWED, "a {}dark image") for grade in ("slightly ", "", "very ")),
)

STAGES: tuple[StageName, ...] = get_args(StageName)
"""All stages, in the order in which they run."""

Schedule = Literal["constant", "multistep", "cosine"]
Reduction = Literal["mean", "sum"]
Duplicates = Literal["mask", "literal"]
AnchorGain = Literal["best", "white"]
StartGain = Literal["own", "white"]
Judgement = Literal["probability", "log"]
Brightness = Literal["raw", "paired", "random"]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class StageSettings(Section):
    """What every stage has."""

    epochs: Count
    """Passes over the low-light training set."""
    batch: Count = 16
    """Low-light samples a step, over all micro-batches and processes; the paper is silent. Small batches make
    the many small steps that 4e-5 needs: 312 an epoch for 5,000 samples."""
    learning_rate: Positive = 4e-5
    """Learning rate of Adam: 4e-5 for U-CALTECH, 1e-4 for U-CIFAR."""
    schedule: Schedule = "constant"
    """How the learning rate changes. The paper gives one rate and no schedule, so it is constant. The
    authors' evaluation code imports PyTorch's `MultiStepLR` and `CosineAnnealingLR`. `cosine` falls step by
    step to 0 at the end of the stage; `multistep` falls at `milestones`."""
    milestones: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.6, 0.8)
    """Parts of the stage after which `multistep` multiplies the rate by `drop`; the paper is silent."""
    drop: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Factor of `multistep`; 0.1 is PyTorch's."""

    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay per step of the running mean of the weights, such as 0.999 over thousands of steps: that mean is
    judged and kept. 0: the weights themselves; the paper names no mean."""
    patience: Count | None = None
    """Epochs without a smaller loss of the held-out samples after which a stage ends; it keeps its best one.
    None: all epochs, and the last one is kept; the paper names no such rule."""

    @field_validator("milestones")
    @classmethod
    def _rising(cls, milestones: tuple[float, ...]) -> tuple[float, ...]:
        if list(milestones) != sorted({*milestones}):
            raise ValueError("give each of the milestones once, in order")
        return milestones


class CoarseSettings(StageSettings):
    """Stage 1: the network learns the TFI of its input."""

    epochs: Count = 5
    target: Literal["tfi", "tfp", "base"] = "tfi"
    """What the network learns. `tfi`: TFI at the middle frame, the paper's way. `tfp`: the mean rate over all
    frames, with less noise and more motion blur. `base`: the picture of hqgen's `base` over 164 frames, which
    are made four to one; it is made once for each sample and kept beside the low-light set."""
    loss: Literal["l1", "mse"] = "l1"
    """The paper is silent; L1 follows the few bright pixels of a dark stream less."""


class ViewSettings(Section):
    """What CLIP sees of the pictures whose quality it judges."""

    crops: Annotated[int, Field(ge=0, le=4)] = 0
    """0: the whole picture, resized to CLIP's input, which is the paper's way and hides grain where the input
    is smaller. 1 to 4: so many random crops of the size of the input. Give stages prompt and fine the
    same."""


class PromptSettings(StageSettings, ViewSettings):
    """Stage 2: two prompts learn to tell HQ images from LQ ones."""

    epochs: Count = 1
    context: Count = 16
    """Learned vectors of each prompt."""
    brightness: Brightness = "raw"
    """How bright the pictures are that the prompts compare. `raw`: as they are, which is the paper's way; LQ
    pictures are ten times darker than HQ ones, and the prompts learn little else. `paired`: each LQ picture
    gets the mean of the HQ crop beside it. `random`: every picture gets a mean that is drawn by itself."""


class FineSettings(StageSettings, ViewSettings):
    """Stage 3: the network learns from class and prompt loss, or from other terms that get a weight."""

    epochs: Count = 19
    learns: Literal["network", "gain"] = "network"
    """`gain` leaves the network as it is and learns one factor of all its pictures, from the same losses:
    what a row must be better than. A step changes the factor by about the learning rate as a share: take
    0.02, and some 200 steps."""
    start_gain: StartGain = "own"
    """How bright the network's pictures are before the first step. `own`: as dark as the targets of stage
    coarse, which is the paper's way. `white`: one gain for all pictures is put into the network's last layer,
    the one at which the median held-out picture has the white point of an HQ store's pictures (0.9). The
    losses then need not find the brightness first."""
    prompt_weight: Weight = 100.0
    """Lambda, the weight of the prompt loss [11]; 0 leaves it out, and with it the need for stage 2."""
    class_weight: Weight = 1.0
    """Weight of the class loss; 1 in the paper, 0 leaves it out."""
    tau: Positive = 0.07
    """Temperature of the class loss [10]. The paper gives none; 0.07 is where CLIP's own training starts. The
    authors' evaluation code imports `InfoNCE` of the package info_nce, whose default is 0.1."""
    reduction: Reduction = "mean"
    """How the class loss of a batch comes from its samples. [10] is a sum, but [9] is for one picture; the
    package info_nce takes the mean. With a batch of 16, `sum` gives the class loss 16 times the weight."""
    duplicates: Duplicates = "mask"
    """Whether samples of one class in a batch are taken out of each other's negatives, or stay in as [10]
    literally has it."""

    judgement: Judgement = "probability"
    """What prompt and quality loss are minus: the probability of high quality [9], or its `log`. [9] hardly
    moves a picture whose probability is near 0, as that of a dark one is; the logarithm does."""
    quality_weight: Weight = 0.0
    """Weight of the quality loss: as the prompt loss, but with the texts of `quality-texts`."""
    quality_texts: Annotated[Names, Field(min_length=2)] = QUALITY_TEXTS
    """What a picture should be, and then what it should not be. The defaults are captions of the small
    CLIP."""
    anchor_weight: Weight = 0.0
    """Weight of the anchor: the difference from what the spikes say, averaged over squares of pixels. Nothing
    else ties a picture to its spikes."""
    anchor: Literal["spikes", "base"] = "spikes"
    """`spikes`: the spikes of the middle frames, counted. `base`: the picture of `base`; see
    `coarse.target`."""
    anchor_bins: Count = 16
    """Bins in the middle of the voxel whose spikes are counted: 64 frames. Motion blurs longer counts."""
    anchor_scale: Count = 4
    """Side of the squares in pixels. What is smaller than them is left to the other terms."""
    anchor_gain: AnchorGain = "best"
    """How bright the picture may be. `best`: as bright as it likes, because it is compared at its best gain.
    `white`: the brightest squares shall be at 0.9, as in the pictures of an HQ store. That is another gain
    for each picture, which LRN, whose outputs see 11x11 pixels, cannot know; `start-gain` sets one for
    all."""

    @model_validator(mode="after")
    def _something_to_learn(self) -> FineSettings:
        if not self.weights:
            raise ValueError(
                "one of prompt-weight and class-weight, or of the other weights, must be above 0"
            )
        return self

    @property
    def weights(self) -> dict[str, float]:
        """The weights above 0 by the name of their term."""
        named = {name: getattr(self, f"{name}_weight") for name in ("class", "prompt", "quality", "anchor")}
        return {name: weight for name, weight in named.items() if weight > 0}


class TrainSettings(Section):
    """Everything that decides the weights besides the data, and how they are computed."""

    network: Annotated[Literal["lrn", "unet"], ENV] = "lrn"
    """What is trained."""
    bins: Count = 50
    """Bins of the voxel, the channels that the network takes. They are in the order of time."""
    padding: Annotated[Literal["zeros", "reflect"], ENV] = "zeros"
    """What the network sees beyond the picture: black (`zeros`), as the published one, which leaves dark
    borders; or the picture mirrored (`reflect`)."""
    crop: Annotated[int, Field(ge=8), ENV] = 224
    """Side of the square that is cut from the middle of a sample, and of the HQ crops."""
    seed: Annotated[int, ENV] = 0
    """Random seed."""
    stages: Annotated[tuple[StageName, ...], BeforeValidator(split_names), Field(min_length=1)] = STAGES
    """What this training consists of; without `coarse`, the network starts from `initial` or at random."""
    initial: Path | None = None
    """Network to start from: a file that `spikeclip.load` takes; none starts from random weights."""
    augment: Literal["flip", "none"] = "flip"
    """`flip` mirrors half of the samples left to right; the paper is silent."""
    validation: Count = 64
    """Training samples that are held out: their loss after each epoch chooses `best.pth`. Never more than a
    tenth of the training set, but one at least."""
    accumulate: Count = 1
    """Micro-batches that a batch is computed in: less memory, the same gradient."""
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$"), ENV] = "auto"
    """Where networks run: `auto`, `cpu`, `cuda`, `cuda:1`."""
    bfloat16: bool | None = None
    """Run networks in bfloat16 (losses are always float32); none: where the hardware computes in it."""
    compile: bool | None = None
    """Compile network and CLIP image tower; none: on a GPU."""
    tensorboard: bool = False
    """Write losses and pictures for TensorBoard, which must be installed."""
    wandb: bool = False
    """Give losses and pictures to Weights & Biases, which must be installed (`pip install hqgen[wandb]`)."""
    log_every: Count = 20
    """Steps between two points of the learning curve: only there the host waits for the device."""
    checkpoint_every: Weight = 60.0
    """Seconds between two checkpoints; there is one at each epoch's end in any case."""
    clip: ClipSettings = ClipSettings()
    coarse: CoarseSettings = CoarseSettings()
    prompt: PromptSettings = PromptSettings()
    fine: FineSettings = FineSettings()

    @model_validator(mode="after")
    def _stages_that_fit(self) -> TrainSettings:
        if list(self.stages) != [name for name in STAGES if name in self.stages]:
            raise ValueError(f"give each stage once, in the order {', '.join(STAGES)}")
        if "prompt" in self.stages and "coarse" not in self.stages and self.initial is None:
            raise ValueError("stage prompt needs a trained network: stage coarse before it, or initial")
        if "fine" in self.stages and "prompt" not in self.stages and self.fine.prompt_weight > 0:
            raise ValueError("fine.prompt-weight above 0 needs stage prompt")
        if "anchor" in self.fine.weights and max(self.fine.anchor_bins, 1) > self.bins:
            raise ValueError(f"fine.anchor-bins is at most bins, {self.bins}")
        if "anchor" in self.fine.weights and self.fine.anchor_scale > self.crop // 4:
            raise ValueError(f"fine.anchor-scale is at most a quarter of crop, {self.crop // 4}")
        if self.network == "unet" and self.crop % 16:  # it halves four times
            raise ValueError("crop is a multiple of 16 for unet")
        if self.network == "unet" and self.padding == "reflect" and self.crop < 32:
            raise ValueError("crop is at least 32 for unet with padding reflect")
        return self

    def of(self, stage: StageName) -> StageSettings:
        """The table of a stage."""
        table: StageSettings = getattr(self, stage)
        return table

    def target(self, stage: StageName) -> Literal["tfi", "tfp", "base"] | None:
        """The pictures that a stage learns from, one for each sample; None: it needs none."""
        if stage == "coarse":
            return self.coarse.target
        anchored = stage == "fine" and "anchor" in self.fine.weights and self.fine.anchor == "base"
        return "base" if anchored else None


class TrainCommand(TrainSettings):
    """The settings of `spikeclip train`."""

    hq_store: Annotated[Names, ENV] = ()
    """HQ stores of `hqgen build`, separated by commas."""
    spikes: Spikes = ""
    data_root: Annotated[Path, Flag("HQGEN_DATA_ROOT")] = Path("data")
    """Folder of U-CALTECH or U-CIFAR without --spikes."""
    out: Annotated[Path, ENV] = Path("run")
    """Folder of the training."""
    entry: Entry = None

    @model_validator(mode="before")
    @classmethod
    def _demo(cls, values: dict[str, Any]) -> dict[str, Any]:
        return demo_defaults(values, training=True)


def train_settings(
    values: Mapping[str, Any], *, where: str = "the settings of the training"
) -> TrainSettings:
    """Settings from the table `[train]` of a configuration file.

    Args:
        values: the table, keys with `-` or `_`.
        where: how a message calls it.

    Raises:
        UsageError: a key or a value that settings cannot have.
    """
    return validated(TrainSettings, values, where, "`spikeclip train --print-config` shows all settings")
