"""A page in the browser: a picture or video in, its people out."""

import contextlib
import html
import inspect
import json
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gtpt_mm.models.backbones import GTPT

from .model_names import RANDOM, get_config, list_models, load_model
from .pose_inferencer import PoseInferencer
from .results import PoseResult

#: The page must work without internet: no fonts, no usage reports.
os.environ.setdefault('GRADIO_ANALYTICS_ENABLED', 'False')
NO_GRADIO = 'the page requires the package gradio: pip install "gtpt_mm[app]"'
DETECTORS = ('whole_image', 'rtmdet', 'ssdlite', 'fasterrcnn')
COLUMNS = ('person', 'keypoint', 'x', 'y', 'score')
RANDOM_WEIGHTS = (
    'Random weights: this model was not trained, its poses mean nothing. '
    'Give a file of weights, or choose a model that has public ones.'
)


class PoseModels:
    """Models of the page: one in memory, one prediction at a time.

    Args:
        device: Such as ``'cpu'``; ``'auto'`` is a GPU if there is one.
        batch_size: Largest number of people in one pass.
        runtime: See :class:`PoseInferencer`. Other keep rates are exported
            to another file.
    """

    def __init__(
        self,
        device: str = 'auto',
        batch_size: int = 8,
        runtime: str = 'torch',
    ) -> None:
        if device == 'auto' and runtime not in ('auto', 'torch'):
            device = 'cpu'
        self.device = device
        self.batch_size = batch_size
        self.runtime = runtime
        self.lock = threading.Lock()
        self.model: Any = None
        self._loaded: tuple = ()
        self._inferencer: PoseInferencer | None = None
        self._made: tuple = ()

    def get(
        self,
        name: str,
        weights: str,
        dataset: str | None,
        detector: str,
        least: float,
    ) -> tuple[PoseInferencer, list[float] | None]:
        """Return the inferencer for these options, and its keep rates.

        The model behind it is ``self.model``.
        """
        wanted = name, weights, dataset
        if self._loaded != wanted:
            device = None if self.device == 'auto' else self.device
            self.model = load_model(
                name, weights or None, device, dataset or None
            )
            self._loaded, self._made = wanted, ()
        rates = prune(self.model, least)
        if self._made != (detector, rates) or self._inferencer is None:
            self._inferencer = PoseInferencer(
                self.model,
                detector,
                self.device,
                batch_size=self.batch_size,
                runtime=self.runtime,
            )
            self._made = detector, rates
        return self._inferencer, rates


def find_datasets(model: str) -> list[str]:
    """Return the datasets of a ViTPose++; [] for other models."""
    try:
        cfg = get_config(model)
    except ValueError:
        return []
    return list(cfg.model.get('head', {}).get('names', ()))


def prune(model: Any, least: float) -> list[float] | None:
    """Let each quarter of a GTPT keep at least a share of the tokens.

    Args:
        model: A pose estimator; a GTPT is changed in place.
        least: Share in [0, 1]: 0 keeps the rates of the config, 1 prunes
            nothing.

    Returns:
        The keep rates of the four quarters; None for other models.
    """
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, GTPT):
        return None
    default = inspect.signature(GTPT).parameters['keep_rates'].default
    trained = model.cfg.model.backbone.get('keep_rates', default)
    rates = [max(rate, least) for rate in trained]
    backbone.set_keep_rates(rates)
    return rates


def tabulate(result: PoseResult) -> list[list]:
    """Return a row for each keypoint, see ``COLUMNS``."""
    return [
        [person, name, round(float(x), 1), round(float(y), 1), round(score, 3)]
        for person, (points, scores) in enumerate(
            zip(result.keypoints, result.scores.tolist(), strict=True)
        )
        for name, (x, y), score in zip(
            result.names, points, scores, strict=True
        )
    ]


def draw_kept(model: Any, result: PoseResult) -> np.ndarray | None:
    """Return the tokens that a GTPT keeps of the best person, RGB."""
    from gtpt_mm.visualization import crop_instances, draw_tokens

    if not isinstance(model.backbone, GTPT) or not len(result):
        return None
    assert result.frame.image is not None  # it has people
    crops = crop_instances(model, result.frame.image, result.boxes[:1])
    return draw_tokens(model, crops, 'pruning')[..., ::-1]


class Actions:
    """Actions of the buttons of the page.

    Args:
        models: Source of the models.
    """

    def __init__(self, models: PoseModels) -> None:
        self.models = models
        self.folder = Path(tempfile.mkdtemp(prefix='gtpt_mm_app_'))

    def predict_image(
        self,
        image: np.ndarray | None,
        model: str,
        weights: str,
        dataset: str | None,
        detector: str,
        threshold: float,
        least: float,
    ) -> tuple:
        """Return notice, drawing, kept tokens, table and JSON of a picture."""
        if image is None:
            raise ValueError('choose a picture first')
        with self.models.lock:
            inferencer, rates = self.models.get(
                model, weights, dataset, detector, least
            )
            result = next(iter(inferencer([image[..., ::-1]])))
            if result.error:
                raise ValueError(result.error)
            kept = draw_kept(self.models.model, result)
        path = self._name('json')
        path.write_text(json.dumps(result.to_dict(), indent=1))
        drawing = result.draw(threshold=threshold)[..., ::-1]
        words = f'{len(result)} people' + _describe_rates(rates)
        return (
            self._notice(words),
            drawing,
            kept,
            tabulate(result),
            str(path),
        )

    def predict_video(
        self,
        video: str | None,
        model: str,
        weights: str,
        dataset: str | None,
        detector: str,
        threshold: float,
        least: float,
        progress: Any = None,
    ) -> tuple:
        """Return notice, drawn video and JSON lines of a video."""
        from .video import VideoWriter, read_video

        if not video:
            raise ValueError('choose a video first')
        lines, target = self._name('jsonl'), self._name('mp4')
        reader = read_video(video)
        info = reader.info
        with self.models.lock, lines.open('w') as file:
            inferencer, rates = self.models.get(
                model, weights, dataset, detector, least
            )
            number = 0
            with VideoWriter(target, info.fps or 25, info.size) as writer:
                for number, result in enumerate(inferencer(reader), 1):
                    file.write(json.dumps(result.to_dict()) + '\n')
                    writer.write(result.draw(threshold=threshold))
                    if progress and info.num_frames:
                        progress((number, info.num_frames), unit='frames')
        words = f'{number} frames' + _describe_rates(rates)
        return self._notice(words), str(target), str(lines)

    def _name(self, suffix: str) -> Path:
        """Return a file that does not exist yet."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        return folder / f'pose.{suffix}'

    def _notice(self, words: str) -> str:
        """Return the summary, with a red warning for random weights."""
        model = self.models.model
        text = f'<p>{html.escape(words)}</p>'
        if getattr(model, 'weights_source', '') == RANDOM:
            text = (
                '<p id="random-weights" style="color: #b00020; font-weight: '
                f'bold">{RANDOM_WEIGHTS}</p>{text}'
            )
        return text


def _describe_rates(rates: list[float] | None) -> str:
    if rates is None:
        return ''
    return '; keep rates ' + ', '.join(f'{rate:.2f}' for rate in rates)


def build_page(
    models: Sequence[str] | None = None,
    weights: str = '',
    device: str = 'auto',
    detector: str = 'whole_image',
    runtime: str = 'torch',
) -> Any:
    """Return the page, a ``gradio.Blocks``.

    Args:
        models: Names, configs or folders to choose from; None for all names.
        weights: File of weights that the page starts with; ``'random'`` for
            random ones, ``''`` for the public ones of the model.
        device: See :class:`PoseInferencer`.
        detector: Detector that the page starts with.
        runtime: See :class:`PoseInferencer`.

    Raises:
        ImportError: If gradio is missing.
    """
    try:
        import gradio as gr
    except ImportError as error:
        raise ImportError(NO_GRADIO) from error
    names = list(models or list_models())
    actions = Actions(PoseModels(device, runtime=runtime))
    with gr.Blocks(title='gtpt_mm', analytics_enabled=False) as page:
        gr.Markdown('# Pose estimation with gtpt_mm')
        choices = _add_choices(gr, names, weights, detector)
        notice = gr.HTML(elem_id='notice')
        with gr.Tab('Picture'):
            _add_picture(gr, actions, choices, notice)
        with gr.Tab('Video'):
            _add_video(gr, actions, choices, notice)
    return page


def _add_choices(
    gr: Any, names: list[str], weights: str, detector: str
) -> list:
    """Add the options for both pictures and videos."""
    with gr.Row():
        model = gr.Dropdown(
            names,
            value=names[0],
            label='Model: a name, a config or a packed folder',
            allow_custom_value=True,
            elem_id='model',
        )
        file = gr.Textbox(
            weights, label="Weights: a file, 'random', or nothing", lines=1
        )
        dataset = gr.Dropdown(
            find_datasets(names[0]),
            value=None,
            label='Keypoints of the dataset',
            visible=bool(find_datasets(names[0])),
        )
        found = [*DETECTORS] if detector in DETECTORS else [detector]
        people = gr.Dropdown(
            found if detector in DETECTORS else [detector, *DETECTORS],
            value=detector,
            label='Detector of people, or a YOLOX file (.onnx)',
            allow_custom_value=True,
        )
    with gr.Row():
        threshold = gr.Slider(
            0, 1, 0.3, step=0.05, label='Lowest score that is drawn'
        )
        least = gr.Slider(
            0,
            1,
            0,
            step=0.05,
            label='GTPT: least share of tokens kept (0: as trained, 1: all)',
            visible=_may_be_gtpt(names[0]),
            elem_id='keep',
        )

    def update(name: str) -> tuple:
        datasets = find_datasets(name)
        return (
            gr.update(
                choices=datasets,
                value=datasets[0] if datasets else None,
                visible=bool(datasets),
            ),
            gr.update(visible=_may_be_gtpt(name)),
        )

    model.change(update, model, [dataset, least])
    return [model, file, dataset, people, threshold, least]


def _may_be_gtpt(model: str) -> bool:
    try:
        return get_config(model).model.backbone.get('type') == 'GTPT'
    except (ValueError, AttributeError):
        return False


def _add_picture(
    gr: Any, actions: Actions, choices: list, notice: Any
) -> None:
    with gr.Row():
        image = gr.Image(label='Picture', type='numpy', elem_id='picture')
        drawing = gr.Image(
            label='People', format='png', interactive=False, elem_id='people'
        )
    button = gr.Button('Find keypoints', variant='primary', elem_id='run')
    kept = gr.Image(
        label='Tokens that GTPT keeps, best person',
        format='png',
        interactive=False,
        elem_id='kept',
    )
    table = gr.Dataframe(headers=list(COLUMNS), label='Keypoints')
    file = gr.File(label='JSON')

    def predict(*arguments: Any) -> tuple:
        with _explained(gr):
            return actions.predict_image(*arguments)

    button.click(
        predict, [image, *choices], [notice, drawing, kept, table, file]
    )


def _add_video(gr: Any, actions: Actions, choices: list, notice: Any) -> None:
    with gr.Row():
        video = gr.Video(label='Video', elem_id='video')
        drawn = gr.Video(label='People', interactive=False, elem_id='drawn')
    button = gr.Button(
        'Find keypoints', variant='primary', elem_id='run-video'
    )
    file = gr.File(label='JSON lines')

    def predict(
        video: str | None,
        model: str,
        weights: str,
        dataset: str | None,
        detector: str,
        threshold: float,
        least: float,
        progress: Any = gr.Progress(),  # noqa: B008 (gradio looks for it)
    ) -> tuple:
        arguments = model, weights, dataset, detector, threshold, least
        with _explained(gr):
            return actions.predict_video(video, *arguments, progress)

    button.click(predict, [video, *choices], [notice, drawn, file])


@contextlib.contextmanager
def _explained(gr: Any) -> Iterator[None]:
    """Show errors on the page."""
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        raise gr.Error(str(error), duration=None) from error


def launch(page: Any, host: str, port: int | None, **options: Any) -> tuple:
    """Serve a page; without fonts and scripts from the internet."""
    import gradio as gr

    theme = gr.themes.Default(font=['sans-serif'], font_mono=['monospace'])
    return page.launch(
        server_name=host,
        server_port=port,
        share=False,
        theme=theme,
        footer_links=[],
        **options,
    )
