"""Several datasets as one, each with its own keypoints and pipeline."""

from collections.abc import Sequence
from copy import deepcopy

from mmpose.datasets import CombinedDataset
from mmpose.registry import DATASETS
from mmpose.structures import PoseDataSample


@DATASETS.register_module()
class MultiDataset(CombinedDataset):
    """Join datasets; say of every sample which one it is from.

    Each dataset keeps its metainfo, its flip indices, its codec: samples come
    out of its own pipeline and leave with their target as that made it. Added
    is ``dataset_idx`` in their metainfo, in training and in test.

    mmpose's ``CombinedDataset``, which this is, maps all datasets to one set
    of keypoints. Its samplers work: ``DefaultSampler`` draws from each in
    proportion to its size, ``MultiSourceSampler`` in proportions of a batch.

    Args:
        names: Names of all datasets of the model, in the order of its experts
            and heads: ``dataset_idx`` is the place of a name here.
        datasets: Config of each dataset, by name; all or some of ``names``.
            The last step of its pipeline is ``PackPoseInputs``.
        main: Name of the dataset whose metainfo stands for all where there
            can be one only (visualizer, checkpoint); None takes the first of
            ``names``.
        sample_ratio_factor: How many times an epoch has each dataset, by
            name: 0.5 leaves out half of its samples, drawn anew by epoch. A
            name that is not there counts once; None leaves all as they are.
        pipeline: What those find who read a config and look for the one
            pipeline of a dataset, as mmpose's inferencer: ``SplitRequired``
            or nothing. It is not run.

    Raises:
        ValueError: If a name is not among ``names`` or stands there twice, or
            ``pipeline`` has steps.

    Example:
        >>> dataset = MultiDataset(
        ...     names=['coco', 'aic'],
        ...     datasets=dict(aic=dict(type='AicDataset', ...)),
        ... )  # doctest: +SKIP
        >>> dataset[0]['data_samples'].dataset_idx  # doctest: +SKIP
        1
    """

    def __init__(
        self,
        names: Sequence[str],
        datasets: dict[str, dict],
        main: str | None = None,
        sample_ratio_factor: dict[str, float] | None = None,
        pipeline: Sequence[dict] = (),
    ) -> None:
        if any(step['type'] != 'SplitRequired' for step in pipeline):
            raise ValueError(
                f'pipeline={list(pipeline)}: each of the datasets has its '
                "own; only dict(type='SplitRequired') may stand here"
            )
        if len(set(names)) != len(names):
            raise ValueError(f'names has one of them twice: {list(names)}')
        given = {*datasets, *(sample_ratio_factor or {})}
        unknown = given - set(names)
        if unknown or not datasets:
            raise ValueError(
                f'datasets must name one or more of {list(names)}, '
                f'got {list(datasets)}, {sample_ratio_factor=}'
            )
        # A written config has its keys in alphabetical order.
        datasets = {n: datasets[n] for n in names if n in datasets}
        main = main or next(iter(datasets))
        if main not in datasets:
            raise ValueError(
                f'main={main!r} is none of the datasets {list(datasets)}'
            )
        ratios = sample_ratio_factor and [
            sample_ratio_factor.get(name, 1.0) for name in datasets
        ]
        self.names = tuple(datasets)
        self.dataset_idx = [list(names).index(name) for name in datasets]
        super().__init__(
            metainfo=_NO_METAINFO,
            datasets=list(datasets.values()),
            sample_ratio_factor=ratios,
        )
        metainfos = {
            name: dataset.metainfo
            for name, dataset in zip(self.names, self.datasets, strict=True)
        }
        self._metainfo = metainfos[main] | dict(
            datasets=metainfos, dataset_names=list(names)
        )

    def get_data_info(self, idx: int) -> dict:
        """Return a packed sample, its ``dataset_idx`` in the metainfo.

        Args:
            idx: Index over all datasets, one after the other.

        Raises:
            ValueError: If the pipeline of its dataset does not pack.
        """
        place, index = self._get_subset_index(idx)
        packed = self.datasets[place][index]
        sample = packed.get('data_samples')
        if not isinstance(sample, PoseDataSample):
            raise ValueError(
                f'the pipeline of {self.names[place]!r} must end in '
                'PackPoseInputs'
            )
        sample.set_metainfo(dict(dataset_idx=self.dataset_idx[place]))
        return packed

    def prepare_data(self, idx: int) -> dict:
        """Return a sample as ``get_data_info`` does: it is ready."""
        return self.get_data_info(idx)

    @property
    def metainfo(self) -> dict:
        """Metainfo of the main dataset; that of each in ``datasets``.

        ``dataset_names`` tells which one a ``dataset_idx`` is.
        """
        return deepcopy(self._metainfo)


#: A skeleton without keypoints, until the datasets have been built.
_NO_METAINFO = dict(
    dataset_name='none',
    keypoint_info={},
    skeleton_info={},
    joint_weights=[],
    sigmas=[],
)
