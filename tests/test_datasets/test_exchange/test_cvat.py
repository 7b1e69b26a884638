"""CVAT for images 1.1: skeletons and points, after its documentation."""

import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from support.exchange_sets import draw_set, save_picture

from gtpt_mm.datasets.exchange import read_set, write_set

SVG = (
    '&lt;line x1="1" y1="1" x2="2" y2="2" stroke="black" data-type="edge" '
    'data-node-from="4" stroke-width="0.5" data-node-to="1"&gt;&lt;/line&gt;'
    '&lt;circle r="1.5" cx="22" cy="25" data-type="element node" '
    'data-element-id="4" data-node-id="4" data-label-name="tail"&gt;'
    '&lt;/circle&gt;&lt;circle r="1.5" cx="36" cy="45" '
    'data-element-id="1" data-node-id="1" data-label-name="nose"&gt;'
    '&lt;/circle&gt;&lt;circle r="1.5" cx="59" cy="23" '
    'data-element-id="2" data-node-id="2" data-label-name="ear"&gt;'
    '&lt;/circle&gt;'
)
SKELETON_LABELS = f"""
<label><name>mouse</name><color>#f00</color><type>skeleton</type>
<attributes></attributes><svg>{SVG}</svg></label>
<label><name>nose</name><type>points</type><attributes></attributes>
<parent>mouse</parent></label>
<label><name>ear</name><type>points</type><attributes></attributes>
<parent>mouse</parent></label>
<label><name>tail</name><type>points</type><attributes></attributes>
<parent>mouse</parent></label>"""


def skeleton(label: str, points: dict[str, str], attributes: str = '') -> str:
    """Return a skeleton; a point is 'x,y', and '-' or '?' if hidden."""
    parts = [
        f'<points label="{name}" source="manual" outside="{int("-" in text)}" '
        f'occluded="{int("?" in text)}" points="{text.strip("-?")}"></points>'
        for name, text in points.items()
    ]
    return (
        f'<skeleton label="{label}" source="manual" z_order="0" {attributes}>'
        f'{"".join(parts)}</skeleton>'
    )


@pytest.fixture
def make(tmp_path):
    """Return a function that writes a file of one picture for each body."""

    def write(labels: str, *bodies: str, name: str = 'annotations.xml'):
        images = ''
        for number, body in enumerate(bodies):
            save_picture(tmp_path / 'images' / f'{number}.png', seed=number)
            images += (
                f'<image id="{number}" name="{number}.png" width="64" '
                f'height="48">{body}</image>'
            )
        (tmp_path / name).write_text(
            '<?xml version="1.0" encoding="utf-8"?>\n<annotations>'
            '<version>1.1</version><meta><task><id>1</id><labels>'
            f'{labels}</labels></task></meta>{images}</annotations>'
        )
        return tmp_path

    return write


def test_skeletons(make):
    """Points are read by label, whatever their order in the skeleton."""
    folder = make(
        SKELETON_LABELS,
        skeleton('mouse', dict(ear='3.5,4.25?', nose='1,2', tail='9,9-'))
        + skeleton('mouse', dict(tail='5,6', ear='7,8', nose='9,10')),
        '',
    )
    read = read_set(folder)
    assert read.names == ['tail', 'nose', 'ear']  # the order of the drawing
    assert read.links == [('tail', 'nose')]
    assert read.category == 'mouse'
    first, second = read.pictures[0].instances
    np.testing.assert_array_equal(
        first.keypoints, [[0, 0], [1, 2], [3.5, 4.25]]
    )
    np.testing.assert_array_equal(first.visible, [0, 2, 1])
    np.testing.assert_array_equal(second.keypoints, [[5, 6], [9, 10], [7, 8]])
    assert first.bbox is None
    assert read.pictures[1].instances == []
    assert [p.id for p in read.pictures] == [0, 1]


def test_without_a_drawing_the_order_is_that_of_the_labels(make):
    labels = SKELETON_LABELS.replace(f'<svg>{SVG}</svg>', '')
    folder = make(labels, skeleton('mouse', dict(tail='5,6', nose='9,10')))
    assert read_set(folder).names == ['nose', 'ear', 'tail']


def test_numbers_are_put_in_order(make):
    points = {'10': '1,1', '2': '2,2', '1': '3,3'}
    folder = make('', skeleton('mouse', points).replace('mouse', 'm'))
    assert read_set(folder).names == ['1', '2', '10']
    labels = ''.join(
        f'<label><name>{n}</name><type>points</type><parent>m</parent></label>'
        for n in points
    )
    folder = make(labels, skeleton('m', points))
    read = read_set(folder)
    assert read.names == ['1', '2', '10']
    [instance] = read.pictures[0].instances
    np.testing.assert_array_equal(instance.keypoints[:, 0], [3, 2, 1])


def test_boxes_belong_to_their_group_or_to_the_points_inside(make):
    points = dict(tail='5,6', ear='7,8', nose='9,10')
    box = (
        '<box label="b" source="manual" occluded="0" xtl="{}" ytl="{}" '
        'xbr="{}" ybr="{}" z_order="0" {}></box>'
    )
    folder = make(
        SKELETON_LABELS,
        skeleton('mouse', points, 'group_id="4"')
        + box.format(0, 0, 3, 3, 'group_id="4"')
        + box.format(1, 1, 60, 40, ''),
        skeleton('mouse', points)
        + box.format(1, 1, 60, 40, '')
        + box.format(4, 4, 12, 12, '')
        + box.format(30, 30, 40, 40, ''),
    )
    read = read_set(folder)
    boxes = [p.instances[0].bbox for p in read.pictures]
    assert boxes == [(0, 0, 3, 3), (4, 4, 12, 12)]
    assert read.dropped == {'boxes without keypoints': 3}


def test_several_skeletons(make):
    folder = make(
        SKELETON_LABELS,
        skeleton('mouse', dict(tail='5,6', ear='7,8', nose='9,10'))
        + skeleton('fly', dict(wing='5,6')),
    )
    with pytest.raises(ValueError) as caught:
        read_set(folder)
    assert 'mouse (3 keypoints, 1 times), fly (1' in str(caught.value)
    read = read_set(folder, category='fly')
    assert read.names == ['wing']
    assert read.dropped == {'skeletons of other labels': 1}
    with pytest.raises(ValueError, match="no skeleton 'cat'"):
        read_set(folder, category='cat')


def test_points_of_an_instance_in_one_shape(make):
    folder = make(
        '<label><name>mouse</name></label>',
        '<points label="mouse" source="manual" occluded="0" '
        'points="1.00,2.00;3.00,4.00;5.00,6.00" z_order="0"></points>'
        '<points label="mouse" occluded="1" points="1,2;3,4;5,7"></points>'
        '<points label="mouse" occluded="0" points="1,2;3,4"></points>'
        '<polygon label="mouse" points="1,2;3,4;5,6"></polygon>',
    )
    read = read_set(folder)
    assert read.names == ['keypoint_1', 'keypoint_2', 'keypoint_3']
    assert read.category == 'mouse'
    first, second = read.pictures[0].instances
    np.testing.assert_array_equal(first.keypoints, [[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(second.visible, [1, 1, 1])
    assert read.dropped == {
        'shapes with a number of points other than 3': 1,
        'shapes without keypoints: polygon': 1,
    }


def test_a_shape_for_each_keypoint(make):
    point = '<points label="{}" occluded="{}" points="{}" {}></points>'
    labels = ''.join(
        f'<label><name>{n}</name><type>points</type></label>'
        for n in ('nose', 'ear')
    )
    folder = make(
        labels,
        point.format('ear', 0, '1,2', 'group_id="1"')
        + point.format('nose', 1, '3,4', 'group_id="1"')
        + point.format('nose', 0, '5,6', 'group_id="2"'),
        point.format('nose', 0, '10,10', '')
        + point.format('ear', 0, '20,20', '')
        + point.format('ear', 0, '50,40', '')
        + '<box label="m" xtl="5" ytl="5" xbr="30" ybr="30"></box>'
        + '<box label="m" xtl="40" ytl="30" xbr="60" ybr="45"></box>',
        point.format('nose', 0, '10,10', '')
        + point.format('nose', 0, '12,10', ''),
    )
    read = read_set(folder)
    assert read.names == ['nose', 'ear']
    one, two, three = read.pictures
    np.testing.assert_array_equal(one.instances[0].keypoints, [[3, 4], [1, 2]])
    np.testing.assert_array_equal(one.instances[0].visible, [1, 2])
    np.testing.assert_array_equal(one.instances[1].visible, [2, 0])
    assert [i.bbox for i in two.instances] == [
        (5, 5, 30, 30),
        (40, 30, 60, 45),
    ]
    np.testing.assert_array_equal(two.instances[1].keypoints[1], (50, 40))
    assert len(three.instances) == 1
    reason = 'points with the label of another one of their group, box or '
    assert read.dropped == {f'{reason}picture': 1}


@pytest.mark.parametrize(
    ('body', 'message'),
    [
        (
            '<polygon label="a" points="1,2;3,4;5,6"></polygon>',
            'no skeletons and no points, but 1 polygon',
        ),
        ('', 'no shapes'),
        (
            '<points label="a" points="1,2;3,4"></points>'
            '<points label="b" points="1,2;3,4;5,6"></points>',
            r'a \(2 points\), b \(3 points\); choose one by --category',
        ),
    ],
)
def test_files_without_clear_keypoints(make, body, message):
    with pytest.raises(ValueError, match=message):
        read_set(make('', body))


def test_files_of_videos_are_refused(tmp_path):
    (tmp_path / 'a.xml').write_text(
        '<annotations><track id="0" label="m"><points frame="0" '
        'points="1,2"/></track></annotations>'
    )
    with pytest.raises(ValueError, match='CVAT for video.*images 1.1'):
        read_set(tmp_path)


def test_torn_file(make):
    folder = make(SKELETON_LABELS, skeleton('mouse', dict(nose='1,2')))
    text = (folder / 'annotations.xml').read_text()
    (folder / 'annotations.xml').write_text(text[:-30])
    with pytest.raises(ValueError, match='torn or not an xml'):
        read_set(folder / 'annotations.xml')


def test_subsets_and_tasks_of_a_project(make):
    points = skeleton('mouse', dict(tail='5,6', ear='7,8', nose='9,10'))
    folder = make(SKELETON_LABELS, points, points)
    path = folder / 'annotations.xml'
    text = path.read_text()
    for number, subset in enumerate(('Train', 'Validation')):
        text = text.replace(
            f'name="{number}.png"',
            f'name="{number}.png" subset="{subset}" task_id="{number}"',
        )
    path.write_text(text)
    read = read_set(folder)
    assert [p.split for p in read.pictures] == ['train', 'val']
    assert [p.group for p in read.pictures] == ['0', '1']


def test_what_is_written_is_what_cvat_documents(tmp_path):
    drawn = draw_set(tmp_path / 'pictures')
    write_set(drawn, tmp_path / 'out', 'cvat')
    root = ET.parse(tmp_path / 'out' / 'annotations.xml').getroot()
    assert root.findtext('version') == '1.1'
    labels = {
        label.findtext('name'): label for label in root.iterfind('meta//label')
    }
    assert labels['mouse'].findtext('type') == 'skeleton'
    for name in drawn.names:
        assert labels[name].findtext('parent') == 'mouse'
        assert labels[name].findtext('type') == 'points'
    drawing = ET.fromstring(f'<svg>{labels["mouse"].findtext("svg")}</svg>')
    circles = [c.attrib for c in drawing.iter('circle')]
    assert [c['data-label-name'] for c in circles] == drawn.names
    nodes = [c['data-node-id'] for c in circles]
    assert nodes == ['1', '2', '3', '4']
    lines = [
        (line.get('data-node-from'), line.get('data-node-to'))
        for line in drawing.iter('line')
    ]
    assert lines == [('1', '2'), ('1', '3')]
    image = root.find('image')
    assert (image.get('name'), image.get('width'), image.get('height')) == (
        'a/0.png',
        '64',
        '48',
    )
    for element in root.iter('skeleton'):
        labels = [p.get('label') for p in element.iterfind('points')]
        assert labels == drawn.names
    constructor = json.loads((tmp_path / 'out' / 'labels.json').read_text())
    assert [label['type'] for label in constructor] == [
        'skeleton',
        'rectangle',
    ]
    sublabels = [s['name'] for s in constructor[0]['sublabels']]
    assert sublabels == drawn.names
    assert 'source_id' in {a['name'] for a in constructor[0]['attributes']}


def test_frames_of_a_video_have_no_suffix(tmp_path):
    """CVAT names a frame without the .PNG that it gives to its file."""
    for task in ('a', 'b'):
        save_picture(tmp_path / f'images/{task}/frame_000001.PNG')
    (tmp_path / 'annotations.xml').write_text(
        '<annotations><image id="1" name="b/frame_000001" width="64" '
        f'height="48">{skeleton("mouse", dict(nose="1,2"))}</image>'
        '</annotations>'
    )
    [picture] = read_set(tmp_path).pictures
    assert picture.path == tmp_path / 'images/b/frame_000001.PNG'
    assert picture.name == 'b/frame_000001.png'


def test_files_of_several_tasks_are_groups(make):
    folder = make('', skeleton('mouse', dict(nose='1,2')))
    for task in ('day1', 'day2'):
        (folder / task).mkdir()
        text = (folder / 'annotations.xml').read_text()
        (folder / task / 'annotations.xml').write_text(text)
        save_picture(folder / task / 'images/0.png')
    (folder / 'annotations.xml').unlink()
    read = read_set(folder)
    assert [(p.group, p.path.parts[-3]) for p in read.pictures] == [
        ('day1', 'day1'),
        ('day2', 'day2'),
    ]


def test_skeletons_with_the_same_keypoints_are_one(make):
    player = skeleton('player', dict(ear='5,6', nose='3,4'))
    folder = make('', skeleton('goalie', dict(nose='1,2', ear='7,8')) + player)
    read = read_set(folder)
    assert read.names == ['nose', 'ear']
    a, b = read.pictures[0].instances
    np.testing.assert_array_equal(a.keypoints, [(1, 2), (7, 8)])
    np.testing.assert_array_equal(b.keypoints, [(3, 4), (5, 6)])
    assert read.notes == ['skeletons read as one: goalie, player']
    assert len(read_set(folder, category='player').pictures[0].instances) == 1
