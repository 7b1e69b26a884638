"""People and their keypoints with numpy, OpenCV and onnxruntime only.

    python infer.py photo.jpg --detector yolox_nano.onnx --pose pose.onnx \
        --out drawn.jpg --json people.json

The README says where the two files are from. Copy this file and change it.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import onnxruntime


def open_session(path: str, threads: int) -> onnxruntime.InferenceSession:
    """Open an ONNX file; 0 threads are all."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, ['CPUExecutionProvider'])


class Detector:
    """A YOLOX as its export_onnx.py writes it: the first class is a person."""

    def __init__(self, path: str, threads: int, threshold: float) -> None:
        self.session = open_session(path, threads)
        self.entry = self.session.get_inputs()[0]
        self.threshold = threshold
        self.height, self.width = self.entry.shape[2:]
        cells, strides = [], []
        for stride in (8, 16, 32):
            y, x = np.indices((self.height // stride, self.width // stride))
            cells.append(np.stack((x.ravel(), y.ravel()), axis=1))
            strides.append(np.full((x.size, 1), stride))
        self.cells, self.strides = np.concatenate(cells), np.concatenate(strides)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return the boxes (x1, y1, x2, y2) of the people, (n, 4)."""
        h, w = image.shape[:2]
        ratio = min(self.height / h, self.width / w)
        inner = max(int(w * ratio), 1), max(int(h * ratio), 1)
        padded = np.full((self.height, self.width, 3), 114, np.float32)
        padded[: inner[1], : inner[0]] = cv2.resize(image, inner)
        inputs = padded.transpose(2, 0, 1)[None]
        rows = self.session.run(None, {self.entry.name: inputs})[0][0]
        scores = rows[:, 4] * rows[:, 5]
        centers = (rows[:, :2] + self.cells) * self.strides
        sizes = np.exp(rows[:, 2:4]) * self.strides
        corners = np.hstack((centers - sizes / 2, sizes)) / ratio  # x, y, w, h
        kept = cv2.dnn.NMSBoxes(corners, scores, self.threshold, 0.45)
        x, y, w, h = corners[np.array(kept, int).reshape(-1)].T
        boxes = np.stack((x, y, x + w, y + h), axis=1)
        return boxes.clip(0, np.array([*image.shape[1::-1]] * 2))


class Pose:
    """A top-down model from `gtpt-mm export --decode`."""

    def __init__(self, path: str, threads: int) -> None:
        self.session = open_session(path, threads)
        self.entry = self.session.get_inputs()[0].name
        text = self.session.get_modelmeta().custom_metadata_map['gtpt_mm']
        self.meta = json.loads(text)
        self.size = np.array(self.meta['input_size'])  # (w, h)

    def crop(self, image: np.ndarray, box: np.ndarray) -> tuple:
        """Return the input of a box; its center and size in the image."""
        center = (box[:2] + box[2:]) / 2
        w, h = (box[2:] - box[:2]) * self.meta['padding']
        aspect = self.size[0] / self.size[1]
        scale = np.array([max(w, h * aspect), max(h, w / aspect)])
        factor = (self.size - self.meta['use_udp']) / scale
        matrix = np.diag(factor)
        offset = (scale / 2 - center) * factor
        matrix = np.hstack((matrix, offset[:, None]))
        inputs = cv2.warpAffine(image, matrix, self.size.tolist())
        if self.meta['color_order'] == 'RGB':
            inputs = inputs[..., ::-1]
        inputs = (inputs - np.array(self.meta['mean'])) / self.meta['std']
        return inputs.transpose(2, 0, 1), center, scale

    def __call__(self, image: np.ndarray, boxes: np.ndarray) -> tuple:
        """Return keypoints (n, K, 2) in pixels of the image, scores (n, K)."""
        num_keypoints = len(self.meta['keypoint_names'])
        if not len(boxes):
            return np.zeros((0, num_keypoints, 2)), np.zeros((0, num_keypoints))
        crops, centers, scales = zip(*(self.crop(image, b) for b in boxes))
        keypoints, scores = self.session.run(
            ['keypoints', 'scores'], {self.entry: np.float32(crops)}
        )
        centers, scales = np.array(centers)[:, None], np.array(scales)[:, None]
        return keypoints / self.size * scales + centers - scales / 2, scores


def draw(image: np.ndarray, people: tuple, links: list, least: float) -> None:
    """Draw keypoints and links whose scores reach a threshold, in place."""
    for points, scores in zip(*people):
        points = points.round().astype(int).tolist()
        for a, b in links:
            if min(scores[a], scores[b]) >= least:
                cv2.line(image, points[a], points[b], (0, 160, 255), 2)
        for point, score in zip(points, scores):
            if score >= least:
                cv2.circle(image, point, 3, (60, 200, 60), -1)


def main() -> None:
    """Predict a picture or the frames of a video."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('input', help='picture or video')
    parser.add_argument('--detector', required=True, help='YOLOX, .onnx')
    parser.add_argument('--pose', required=True, help='exported pose model')
    parser.add_argument('--out', help='drawn picture (.jpg) or video (.mp4)')
    parser.add_argument('--json', help='file of the keypoints')
    parser.add_argument('--threads', type=int, default=0)
    parser.add_argument('--threshold', type=float, default=0.3)
    args = parser.parse_args()
    detector = Detector(args.detector, args.threads, args.threshold)
    pose = Pose(args.pose, args.threads)
    links = pose.meta['skeleton']
    picture = cv2.imread(args.input)
    video = cv2.VideoCapture(args.input) if picture is None else None
    writer, found = None, []
    while picture is not None or (video and video.isOpened()):
        if video:
            is_read, picture = video.read()
            if not is_read:
                break
        people = pose(picture, detector(picture))
        names = ('keypoints', 'scores')
        found.append(dict(zip(names, (part.tolist() for part in people))))
        draw(picture, people, links, args.threshold)
        if args.out and video:
            fps = video.get(cv2.CAP_PROP_FPS) or 25
            writer = writer or cv2.VideoWriter(args.out, cv2.VideoWriter_fourcc(*'mp4v'), fps, picture.shape[1::-1])
            writer.write(picture)
        elif args.out:
            cv2.imwrite(args.out, picture)
        picture = None
    if not found:
        raise SystemExit(f'{args.input} is neither a picture nor a video')
    if writer:
        writer.release()
    if args.json:
        Path(args.json).write_text(json.dumps(found))
    print(f'{len(found)} images, {sum(len(f["scores"]) for f in found)} people')


if __name__ == '__main__':
    main()
