"""An app's folder, read as one frozen value: softlaunch.yaml, prompts/, models.yaml, parameters/ and variants.yaml."""

from dataclasses import dataclass
from pathlib import Path

from softlaunch.catalog.model_files import load_models, load_variants
from softlaunch.catalog.parameter_files import ParameterFile, load_all_parameters
from softlaunch.catalog.prompt_files import PromptFile, load_prompts
from softlaunch.core.documents import DocumentError
from softlaunch.core.variant import ModelVersion, Variant
from softlaunch.policy.load import load_policy
from softlaunch.policy.model import Policy

POLICY_FILE = "softlaunch.yaml"
MODELS_FILE = "models.yaml"
VARIANTS_FILE = "variants.yaml"
PROMPTS_FOLDER = "prompts"
PARAMETERS_FOLDER = "parameters"


@dataclass(frozen=True, slots=True)
class AppFolder:
    """What the files of an app say. `stable` is the name of the variant that serves at first."""

    path: Path
    policy: Policy
    prompts: tuple[PromptFile, ...]
    models: tuple[ModelVersion, ...]
    parameters: tuple[ParameterFile, ...]
    variants: dict[str, Variant]
    stable: str

    @property
    def policy_path(self) -> Path:
        """The policy file, absolute."""
        return self.path.resolve() / POLICY_FILE

    @property
    def models_path(self) -> Path:
        """The models' file."""
        return self.path / MODELS_FILE


def read_app(folder: Path) -> AppFolder:
    """Read an app's folder. Raises DocumentError, or a subclass, naming file, line and key."""
    if not (folder / POLICY_FILE).is_file():
        raise DocumentError(
            f"there is no {POLICY_FILE} in {folder}; make an app with 'softlaunch init', or name its folder"
        )
    policy = load_policy(folder / POLICY_FILE)
    prompts = load_prompts(folder / PROMPTS_FOLDER)
    models = load_models(folder / MODELS_FILE)
    parameters = load_all_parameters(folder / PARAMETERS_FOLDER)
    stable, variants = load_variants(folder / VARIANTS_FILE, prompts, models, parameters)
    return AppFolder(folder, policy, prompts, models, parameters, variants, stable)
