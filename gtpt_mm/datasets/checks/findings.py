"""What a check of an annotated set can find, and one finding."""

from dataclasses import dataclass

SEVERITIES = ('error', 'warning', 'note')


@dataclass(frozen=True)
class Kind:
    """One kind of finding.

    Attributes:
        severity: 'error' for a certain mistake, 'warning' for a suspicion or
            a loss, 'note' for a fact that may be intended.
        title: What it is, in a few words.
        remedy: What to do.
        is_local: Whether it marks its keypoints as not to be trusted by the
            checks that compare instances with each other.
    """

    severity: str
    title: str
    remedy: str
    is_local: bool = False


KINDS: dict[str, Kind] = {
    'file': Kind(
        'error', 'the file cannot be used', 'mend or export the file again'
    ),
    'metainfo': Kind(
        'error',
        'metainfo and annotations differ',
        'give the metainfo of these keypoints in this order',
    ),
    'image-id': Kind(
        'error',
        'annotations of no picture',
        'list the picture, or remove the annotation',
    ),
    'picture-missing': Kind(
        'error', 'picture files that are not there', 'copy them, or --images'
    ),
    'picture-torn': Kind(
        'error', 'picture files that cannot be read', 'copy or export it again'
    ),
    'picture-size': Kind(
        'error',
        'pictures of another size than annotated',
        'annotate this file, or scale its keypoints and box',
    ),
    'two-splits': Kind(
        'error',
        'one picture in two splits',
        'keep it in one: the score would be of pictures that were trained on',
    ),
    'origin': Kind(
        'error',
        'keypoints labelled at (0, 0)',
        'not labelled is v = 0',
        is_local=True,
    ),
    'outside-picture': Kind(
        'error',
        'labelled keypoints outside the picture',
        'move the keypoint, or set v = 0',
        is_local=True,
    ),
    'empty-box': Kind(
        'error',
        'boxes that are empty or outside the picture',
        'draw the box again; training leaves the instance out',
    ),
    'sides': Kind(
        'warning',
        'left and right may be exchanged',
        'look at it; exchange the labels of left and right',
        is_local=True,
    ),
    'bone': Kind(
        'warning',
        'bones far longer than in the other instances',
        'look at it; move the keypoint that lies elsewhere',
    ),
    'outside-box': Kind(
        'warning',
        'keypoints outside their box',
        'draw the box around all keypoints; a crop would cut them off',
        is_local=True,
    ),
    'same-place': Kind(
        'warning',
        'joined keypoints at one place',
        'look at it; a click too many, or a copied point',
    ),
    'tiny-box': Kind(
        'warning',
        'tiny boxes',
        'leave the instance out, or annotate a larger picture',
    ),
    'no-box': Kind(
        'warning',
        'instances without a box',
        'training leaves them out; `gtpt-mm data import` makes boxes',
    ),
    'same-instance': Kind(
        'warning', 'one instance annotated twice', 'remove one of the two'
    ),
    'num-keypoints': Kind(
        'warning',
        'num_keypoints is not the number of labels',
        'correct it, or leave it out; 0 leaves the instance out of training',
    ),
    'never-labelled': Kind(
        'warning',
        'keypoints that are never labelled',
        'label some, or leave the keypoint out of the skeleton',
    ),
    'same-id': Kind(
        'warning',
        'annotations of one id',
        'number them; here they got new ids',
    ),
    'near-splits': Kind(
        'warning',
        'nearly equal pictures in two splits',
        'keep them in one: split by video or group',
    ),
    'same-picture': Kind(
        'warning', 'one picture twice in a split', 'remove one of the two'
    ),
    'near-picture': Kind(
        'note',
        'nearly equal pictures in a split',
        'leave out what teaches nothing new',
    ),
    'no-annotation': Kind(
        'note',
        'pictures without annotation',
        'annotate them, unless nothing is in them',
    ),
    'no-keypoint': Kind(
        'note',
        'instances without a labelled keypoint',
        'training leaves them out',
    ),
    'visibility': Kind(
        'note',
        'classes of visibility that are never used',
        'check that the tool wrote them: 0 not labelled, 1 hidden, 2 seen',
    ),
    'mended': Kind(
        'note', 'mended when it is read', 'export the file again to be exact'
    ),
}


@dataclass(frozen=True)
class Finding:
    """One finding and its place.

    Attributes:
        kind: One of :data:`KINDS`.
        value: What was found, with the numbers.
        file: The annotation file, or the split until it is known.
        picture: Name of the picture; '' for the whole file.
        annotation: Identity of the annotation; None for the whole picture.
        keypoints: Indices of the keypoints concerned.
        badness: Distance from the rule, to sort findings of one kind.
    """

    kind: str
    value: str
    file: str = ''
    picture: str = ''
    annotation: int | str | None = None
    keypoints: tuple[int, ...] = ()
    badness: float = 1.0

    @property
    def severity(self) -> str:
        """Severity of its kind."""
        return KINDS[self.kind].severity

    @property
    def place(self) -> str:
        """File, annotation and picture, as far as they are known."""
        parts = [self.file]
        if self.annotation is not None:
            parts.append(f'annotation {self.annotation}')
        return ', '.join(part for part in (*parts, self.picture) if part)

    def to_dict(self) -> dict:
        """Return plain types, ready for ``json.dumps``."""
        kind = KINDS[self.kind]
        return dict(
            severity=kind.severity,
            kind=self.kind,
            title=kind.title,
            value=self.value,
            file=self.file,
            picture=self.picture,
            annotation=self.annotation,
            remedy=kind.remedy,
        )


def sort_findings(findings: list[Finding]) -> list[Finding]:
    """Return findings with the worst first."""
    order = {kind: index for index, kind in enumerate(KINDS)}
    return sorted(
        findings,
        key=lambda f: (
            SEVERITIES.index(f.severity), order[f.kind], -f.badness
        ),
    )  # fmt: skip
