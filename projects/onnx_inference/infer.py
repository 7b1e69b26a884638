"""Find people and their keypoints with numpy, OpenCV and onnxruntime only.

    python infer.py photo.jpg --detector yolox_nano.onnx --pose pose.onnx \
        --out drawn.jpg --json people.json

The README says where to get the two files. Copy this file and change it.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from onnxruntime import InferenceSession


class Detector:
    """A YOLOX as written by its export_onnx.py; class 0 is a person."""

    def __init__(self, path: str, threshold: float) -> None:
        self.session = InferenceSession(path)
        self.entry = self.session.get_inputs()[0]
        if len(self.session.get_outputs()) > 1 or len(self.entry.shape) != 4:
            raise SystemExit(f'{path} is not a YOLOX file')
        self.height, self.width = self.entry.shape[2:]
        self.threshold = threshold
        anchors = []  # x and y of the cell, stride
        for stride in (8, 16, 32):
            y, x = np.indices((self.height // stride, self.width // stride))
            anchors.append(np.stack((x, y, np.full_like(x, stride)), -1))
        anchors = np.concatenate([a.reshape(-1, 3) for a in anchors])
        self.cells, self.strides = anchors[:, :2], anchors[:, 2:]

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return the boxes (x1, y1, x2, y2) of the people, (n, 4)."""
        h, w = image.shape[:2]
        ratio = min(self.height / h, self.width / w)
        inner = max(int(w * ratio), 1), max(int(h * ratio), 1)
        padded = np.full((self.height, self.width, 3), 114, np.float32)
        padded[: inner[1], : inner[0]] = cv2.resize(image, inner)
        inputs = {self.entry.name: padded.transpose(2, 0, 1)[None]}
        rows = self.session.run(None, inputs)[0][0]
        scores = rows[:, 4] * rows[:, 5]
        centers = (rows[:, :2] + self.cells) * self.strides
        sizes = np.exp(rows[:, 2:4]) * self.strides
        corners = np.hstack((centers - sizes / 2, sizes)) / ratio  # x, y, w, h
        kept = list(cv2.dnn.NMSBoxes(corners, scores, self.threshold, 0.45))
        corners[:, 2:] += corners[:, :2]
        return corners[kept].clip(0, np.array([*image.shape[1::-1]] * 2))


class Pose:
    """A top-down model exported with `gtpt-mm export --decode`."""

    def __init__(self, path: str) -> None:
        self.session = InferenceSession(path)
        self.entry = self.session.get_inputs()[0].name
        texts = self.session.get_modelmeta().custom_metadata_map
        self.meta = {k: json.loads(texts[k]) for k in texts if '.' not in k}
        if not self.meta.get('decode') or not self.meta['padding']:
            raise SystemExit(f'{path}: export a top-down model with --decode')
        self.size = np.array(self.meta['input_size'])  # (w, h)

    def crop(self, image: np.ndarray, box: np.ndarray) -> tuple:
        """Return the input of a box; its center and size in the image."""
        center = (box[:2] + box[2:]) / 2
        w, h = (box[2:] - box[:2]) * self.meta['padding']
        scale = self.size * max(w / self.size[0], h / self.size[1])
        factor = (self.size - int(self.meta['use_udp'])) / scale
        matrix = np.c_[np.diag(factor), (scale / 2 - center) * factor]
        pixels = cv2.warpAffine(image, matrix, self.size.tolist())
        pixels = pixels[..., :: -1 if self.meta['color'] == 'RGB' else 1]
        pixels = (pixels - np.array(self.meta['mean'])) / self.meta['std']
        return pixels.transpose(2, 0, 1), center, scale

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> tuple:
        """Return keypoints (n, K, 2) in pixels of the image, scores (n, K)."""
        if not len(boxes):
            shape = 0, len(self.meta['keypoints'])
            return np.zeros((*shape, 2)), np.zeros(shape)
        parts = zip(*(self.crop(image, box) for box in boxes), strict=True)
        crops, centers, scales = map(np.array, parts)
        inputs = {self.entry: crops.astype(np.float32)}
        points, scores = self.session.run(['keypoints', 'scores'], inputs)
        corners = (centers - scales / 2)[:, None]
        return points / self.size * scales[:, None] + corners, scores


def draw(image: np.ndarray, people: tuple, links: list, least: float) -> None:
    """Draw keypoints and links whose scores reach a threshold, in place."""
    for points, scores in zip(*people, strict=True):
        points, seen = points.round().astype(int).tolist(), scores >= least
        for a, b in (link for link in links if seen[link].all()):
            cv2.line(image, points[a], points[b], (0, 160, 255), 2)
        for index in np.flatnonzero(seen):
            cv2.circle(image, points[index], 3, (60, 200, 60), -1)


def read(path: str) -> Iterator[tuple[np.ndarray, float]]:
    """Yield a picture, or the frames of a video with frames a second."""
    if (picture := cv2.imread(path)) is not None:
        yield picture, 0.0
        return
    video = cv2.VideoCapture(path)
    while (frame := video.read()[1]) is not None:
        yield frame, video.get(cv2.CAP_PROP_FPS) or 25.0


def main() -> None:
    """Predict a picture or the frames of a video."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('input', help='picture or video')
    parser.add_argument('--detector', help='YOLOX, .onnx; none: whole image')
    parser.add_argument('--pose', required=True, help='exported pose model')
    parser.add_argument('--out', help='drawn picture (.jpg) or video (.mp4)')
    parser.add_argument('--json', help='file of the keypoints')
    parser.add_argument('--threshold', type=float, default=0.3)
    args = parser.parse_args()
    files = args.input, args.detector or args.pose, args.pose
    if missing := [path for path in files if not Path(path).is_file()]:
        raise SystemExit(f'there is no {missing[0]}')
    detector = args.detector and Detector(args.detector, args.threshold)
    pose = Pose(args.pose)
    found, writer, drawn = [], None, False
    for image, fps in read(args.input):
        whole = np.array([[0, 0, *image.shape[1::-1]]])
        people = pose(image, detector(image) if detector else whole)
        keypoints, scores = (part.tolist() for part in people)
        found.append({'keypoints': keypoints, 'scores': scores})
        draw(image, people, pose.meta['skeleton'], args.threshold)
        if args.out and fps:
            code, size = cv2.VideoWriter_fourcc(*'mp4v'), image.shape[1::-1]
            writer = writer or cv2.VideoWriter(args.out, code, fps, size)
            writer.write(image)
        elif args.out and cv2.haveImageWriter(args.out):
            drawn = cv2.imwrite(args.out, image)
        if args.out and not (writer.isOpened() if fps else drawn):
            raise SystemExit(f'OpenCV cannot write {args.out}')
    if not found:
        raise SystemExit(f'{args.input} is neither a picture nor a video')
    if args.json:
        Path(args.json).write_text(json.dumps(found))
    people = sum(len(f['scores']) for f in found)
    print(f'{len(found)} images, {people} people')


if __name__ == '__main__':
    main()
