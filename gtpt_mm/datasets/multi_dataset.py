"""Several datasets as one, each with its own keypoints and pipeline."""

from collections.abc import Sequence
from copy import deepcopy

from mmpose.datasets import CombinedDataset
from mmpose.registry import DATASETS
from mmpose.structures import PoseDataSample


@DATASETS.register_module()
class MultiDataset(CombinedDataset):
    """Join datasets and mark every sample with its dataset.

    Each dataset keeps its metainfo, its flip indices and its codec: samples
    come from its pipeline with their targets. Their metainfo gets
    ``dataset_idx``, the name of the dataset (``dataset_name``) and all names
    (``dataset_names``), in training and in test, whatever ``meta_keys`` are
    packed: head and evaluator compare them with their own.

    mmpose's ``CombinedDataset``, the base class, maps all datasets to one set
    of keypoints. Its samplers work: ``DefaultSampler`` draws from each in
    proportion to its size, ``MultiSourceSampler`` in proportions of a batch.

    Args:
        names: Names of all datasets of the model, in the order of its experts
            and heads: ``dataset_idx`` is an index into them.
        datasets: Config of each dataset, by name; all or some of ``names``.
            The last step of its pipeline is ``PackPoseInputs``.
        main: Name of the dataset whose metainfo represents all where only one
            is possible (visualizer, checkpoint); None: the first of
            ``names``.
        sample_ratio_factor: How often each dataset occurs in an epoch, by
            name: 0.5 leaves out half of its samples, drawn again in each
            epoch. Default: 1.
        pipeline: Not used: each dataset has its own. Older configs have one.

    Raises:
        ValueError: If a name is unknown or occurs twice, or the ratios leave
            no sample.

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
        if len(set(names)) != len(names):
            raise ValueError(f'names has a name twice: {list(names)}')
        used = {*datasets, *(sample_ratio_factor or {})}
        unknown = used - set(names)
        if unknown or not datasets:
            raise ValueError(
                f'datasets must name one or more of {list(names)}, '
                f'got {list(datasets)}, {sample_ratio_factor=}'
            )
        # mmengine writes configs with keys in alphabetical order.
        datasets = {n: datasets[n] for n in names if n in datasets}
        main = main or next(iter(datasets))
        if main not in datasets:
            raise ValueError(
                f'main={main!r} is not among the datasets {list(datasets)}'
            )
        ratios = sample_ratio_factor and [
            sample_ratio_factor.get(name, 1.0) for name in datasets
        ]
        self.names = tuple(datasets)
        self.all_names = tuple(names)
        self.dataset_idx = [list(names).index(name) for name in datasets]
        super().__init__(
            metainfo=_NO_METAINFO,
            datasets=list(datasets.values()),
            sample_ratio_factor=ratios,
        )
        if not len(self):
            raise ValueError(
                f'{sample_ratio_factor=} leaves no sample of the datasets '
                f'{list(datasets)}; one ratio must be above 0'
            )
        metainfos = {
            name: dataset.metainfo
            for name, dataset in zip(self.names, self.datasets, strict=True)
        }
        self._metainfo = metainfos[main] | dict(
            datasets=metainfos, dataset_names=list(names)
        )

    def get_data_info(self, idx: int) -> dict:
        """Return a packed sample with its dataset in the metainfo.

        Args:
            idx: Index over all datasets, one after the other.

        Raises:
            ValueError: If the pipeline of its dataset does not pack.
        """
        subset, index = self._get_subset_index(idx)
        packed = self.datasets[subset][index]
        sample = packed.get('data_samples')
        if not isinstance(sample, PoseDataSample):
            raise ValueError(
                f'the pipeline of {self.names[subset]!r} must end in '
                'PackPoseInputs'
            )
        idx = self.dataset_idx[subset]
        sample.set_metainfo(
            dict(
                dataset_idx=idx,
                dataset_name=self.names[subset],
                dataset_names=self.all_names,
            )
        )
        return packed

    def prepare_data(self, idx: int) -> dict:
        """Return the sample of ``get_data_info``, which is ready."""
        return self.get_data_info(idx)

    @property
    def metainfo(self) -> dict:
        """Metainfo of the main dataset, and of each in ``datasets``.

        ``dataset_names`` gives the name for a ``dataset_idx``.
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
