import cv2
import numpy as np
import pytest
import sleap_io

from gtpt_mm.datasets.exchange import read_set, sleap

NODES = ['nose', 'ear1', 'ear2']
POINTS = np.array([[1.5, 2.25], [10, 20], [np.nan, np.nan]])


def skeleton(**kwargs):
    return sleap_io.Skeleton(
        list(NODES), edges=[('nose', 'ear1'), ('nose', 'ear2')], **kwargs
    )


def noise(path, number):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(number).integers(
        0, 255, (60, 80, 3), np.uint8
    )
    cv2.imwrite(str(path), image)
    return str(path)


def make(folder, num=3, **kwargs):
    """Frames 0 .. num-1 of pictures, each with a person's label."""
    files = [noise(folder / f'day1/img{n}.png', n) for n in range(num)]
    video = sleap_io.Video.from_filename(files)
    bones = skeleton(**kwargs)
    track = sleap_io.Track('a')
    frames = [
        sleap_io.LabeledFrame(
            video,
            n,
            [
                sleap_io.Instance.from_numpy(
                    POINTS + n, skeleton=bones, track=track
                ),
                sleap_io.PredictedInstance.from_numpy(
                    POINTS, skeleton=bones, score=0.5
                ),
            ],
        )
        for n in range(num)
    ]
    return sleap_io.Labels(frames)


def check(found, num=3):
    assert found.names == NODES
    assert found.links == [('nose', 'ear1'), ('nose', 'ear2')]
    assert len(found.pictures) == num
    for n, picture in enumerate(found.pictures):
        assert (picture.width, picture.height) == (80, 60)
        assert picture.group == 'day1'
        (one,) = picture.instances
        assert one.track == 'a'
        assert one.keypoints.tolist() == [
            [1.5 + n, 2.25 + n], [10 + n, 20 + n], [0, 0],
        ]  # fmt: skip
        assert one.visible.tolist() == [2, 2, 0]
    assert found.dropped['instances that SLEAP predicted'] == num


def test_slp_beside_its_pictures(tmp_path):
    labels = make(tmp_path, symmetries=[('ear1', 'ear2')], name='mouse')
    labels.save(str(tmp_path / 'a.slp'), verbose=False)
    found = read_set(tmp_path / 'a.slp')
    check(found)
    assert found.category == 'mouse'
    assert found.swap == dict(ear1='ear2', ear2='ear1')
    names = [f'day1/img{n}.png' for n in range(3)]
    assert [p.name for p in found.pictures] == names
    assert [p.path for p in found.pictures] == [tmp_path / n for n in names]


def test_pictures_that_have_moved_are_found(tmp_path):
    make(tmp_path / 'old').save(str(tmp_path / 'a.slp'), verbose=False)
    (tmp_path / 'old').rename(tmp_path / 'new')
    found = read_set(tmp_path / 'a.slp')
    check(found)
    assert found.pictures[2].path == tmp_path / 'new/day1/img2.png'
    assert found.swap is None


def test_package_with_its_pictures(tmp_path):
    labels = make(tmp_path)
    images = [cv2.imread(f) for f in labels.video.filename]
    labels.save(str(tmp_path / 'a.pkg.slp'), embed='user', verbose=False)
    for path in (tmp_path / 'day1').iterdir():
        path.unlink()
    found = read_set(tmp_path)  # the folder
    check(found)
    for picture, image in zip(found.pictures, images, strict=True):
        assert picture.path is None
        pixels = np.frombuffer(picture.content, np.uint8)
        # colors included
        np.testing.assert_array_equal(cv2.imdecode(pixels, 1), image)


def test_frames_of_a_video(tmp_path):
    """Every frame has its own grey; labels are of frames 1 and 3."""
    path = str(tmp_path / 'v.avi')
    writer = cv2.VideoWriter(
        path, cv2.VideoWriter_fourcc(*'MJPG'), 5, (80, 64)
    )
    for n in range(5):
        writer.write(np.full((64, 80, 3), 50 * n, np.uint8))
    writer.release()
    video = sleap_io.Video.from_filename(path)
    frames = [
        sleap_io.LabeledFrame(
            video,
            n,
            [sleap_io.Instance.from_numpy(POINTS, skeleton=skeleton())],
        )
        for n in (1, 3)
    ]
    sleap_io.Labels(frames).save(str(tmp_path / 'a.slp'), verbose=False)
    found = read_set(tmp_path / 'a.slp')
    assert [p.name for p in found.pictures] == [
        'v.avi/000001.jpg', 'v.avi/000003.jpg',
    ]  # fmt: skip
    for picture, grey in zip(found.pictures, (50, 150), strict=True):
        assert (picture.width, picture.height) == (80, 64)
        pixels = cv2.imdecode(np.frombuffer(picture.content, np.uint8), 1)
        assert abs(int(pixels.mean()) - grey) <= 2
    # elsewhere
    (tmp_path / 'sub').mkdir()
    (tmp_path / 'v.avi').rename(tmp_path / 'sub/v.avi')
    again = read_set(tmp_path / 'a.slp')
    assert again.pictures[1].content == found.pictures[1].content
    (tmp_path / 'sub/v.avi').unlink()
    gone = read_set(tmp_path / 'a.slp').pictures[0]
    assert gone.path is None and gone.content is None


def test_hidden_points_and_predicted_frames_are_counted(tmp_path):
    labels = make(tmp_path)
    labels[0].instances[0].points['visible'][1] = False
    del labels[1].instances[0]
    labels.save(str(tmp_path / 'a.slp'), verbose=False)
    found = read_set(tmp_path / 'a.slp')
    assert [p.name[-5] for p in found.pictures] == ['0', '2']
    assert found.pictures[0].instances[0].visible.tolist() == [2, 0, 0]
    assert found.pictures[0].instances[0].keypoints[1].tolist() == [0, 0]
    assert found.dropped == {
        'instances that SLEAP predicted': 3,
        'points marked as not visible': 1,
        'frames without a label of a person': 1,
    }


def test_several_skeletons_are_chosen_from(tmp_path):
    labels = make(tmp_path, name='mouse')
    fly = sleap_io.Skeleton(['head', 'wing'], name='fly')
    points = np.array([[5.0, 6], [7, 8]])
    labels[0].instances.append(
        sleap_io.Instance.from_numpy(points, skeleton=fly)
    )
    labels.update()
    labels.save(str(tmp_path / 'a.slp'), verbose=False)
    with pytest.raises(ValueError, match='fly .2 keypoints.*--category'):
        read_set(tmp_path / 'a.slp')
    found = read_set(tmp_path / 'a.slp', category='fly')
    assert found.names == ['head', 'wing']
    assert found.pictures[0].instances[0].keypoints.tolist() == [
        [5, 6], [7, 8],
    ]  # fmt: skip


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / 'a.slp').write_text('no hdf5')
    with pytest.raises(ValueError, match=r'a\.slp is not a file of SLEAP'):
        read_set(tmp_path / 'a.slp')


def test_without_its_extra_it_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / 'a.slp').write_text('')
    stock = sleap.import_extra
    monkeypatch.setattr(
        sleap, 'import_extra', lambda name, *rest: stock('no_such', *rest)
    )
    with pytest.raises(ImportError, match=r'pip install "gtpt_mm\[sleap\]"'):
        read_set(tmp_path / 'a.slp')


def test_videos_of_one_name_in_several_folders(tmp_path):
    """They are different groups, also when they have moved."""
    videos = []
    for session, grey in (('m1', 40), ('m2', 160)):
        path = tmp_path / 'old' / session / 'cam.avi'
        path.parent.mkdir(parents=True)
        writer = cv2.VideoWriter(
            str(path), cv2.VideoWriter_fourcc(*'MJPG'), 5, (80, 64)
        )
        for _ in range(3):
            writer.write(np.full((64, 80, 3), grey, np.uint8))
        writer.release()
        videos.append(sleap_io.Video.from_filename(str(path)))
    one = [sleap_io.Instance.from_numpy(POINTS, skeleton=skeleton())]
    frames = [sleap_io.LabeledFrame(video, 0, one) for video in videos]
    sleap_io.Labels(frames).save(str(tmp_path / 'a.slp'), verbose=False)
    for where in ('old', 'new'):
        if where == 'new':
            (tmp_path / 'old').rename(tmp_path / 'new')
        found = read_set(tmp_path / 'a.slp').pictures
        assert [(p.group, p.id) for p in found] == [
            ('cam.avi', 'cam.avi/000000'),
            ('m2/cam.avi', 'm2/cam.avi/000000'),
        ]
        greys = [
            cv2.imdecode(np.frombuffer(p.content, np.uint8), 1).mean()
            for p in found
        ]
        np.testing.assert_allclose(greys, [40, 160], atol=3)
