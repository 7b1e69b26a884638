"""Rules of the replayed complaints of inference; see ``rules.py``."""

from .judge import Rule

_TEXT_OK = r'^\[ok  \] '
_TEXT_FAIL = r'^\[FAIL\] '


def _ok(*names: str) -> tuple[str, ...]:
    return tuple(f'{_TEXT_OK}{name}: ' for name in names)


def _refused(name: str, words: str) -> str:
    return rf'{_TEXT_FAIL}{name}: \w*Error: .*{words}'


#: All of the output is one case; the script raises where it must not.
GTPT_DRAWS = {'drawn': Rule((r'^pixels drawn: default [1-9]',))}
BOXES = {'boxes': Rule((r'^2 ',))}
NOBODY = {
    'nobody': Rule((r'^nobody above 0\.99 : 0', r'^det_cat_ids absent: \d+'))
}
INPUTS = {
    'inputs': Rule(
        (
            *_ok(
                'folder with a README',
                'pathlib.Path',
                'pathlib.Path, inference_topdown',
                'PIL image',
                'grey array',
                'grey array, inference_topdown',
                'control: grey PNG file',
            ),
            _refused('rtsp', 'rtsp://.*video'),
            _refused('URL with a query', r'http://.*token=1.*video'),
            _refused('broken jpg', r'broken\.jpg'),
        )
    )
}
HALF = {
    'half': Rule(
        _ok(
            *(
                rf'{name} {how}'
                for name in ('gp', 'gtpt', 'vit', 'hevit', 'ae')
                for how in (r'\.to\(bfloat16\)', 'autocast bf16')
            )
        ),
        bad=(_TEXT_FAIL,),
    )
}
VITPOSE_PLUS = {
    'plus': Rule(
        _ok('inferencer', 'init_model', 'select_dataset -> inference_topdown')
    )
}
BATCHES = {'batches': Rule((r'^images per pass \[4, 4\]',))}
DEMOS = {'demos': Rule((r'saved at .*000000000785\.jpg',))}
VIDEOS = {
    'videos': Rule(
        (
            r'^webm: input frames 5 output exists True',
            r'^next\(\) once: frames in the file 1 predictions True',
            r'^control, all frames taken: 5',
        )
    )
}
#: Refused: the exporter's own end is a traceback.
ONNX = {'onnx': Rule((r'ValueError: .*GTPT.*dynamo=True',), traceback=True)}
