"""`croissant.json`: the export described for machines, in the vocabulary Croissant 1.1 of MLCommons.

The terms and the context are those of the specification (https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html).
The record set has one record per picture, without the nested columns `scores` and `judges`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from hqgen.export.card import NOT_STATED, describe_source
from hqgen.export.metadata import COLUMNS, features
from hqgen.export.selection import Selection
from hqgen.export.settings import ExportSettings
from hqgen.manifest import Manifest

FILE = "croissant.json"

_TERMS = (
    "arrayShape citeAs column containedIn equivalentProperty extract field fileProperty fileObject fileSet "
    "format includes isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex "
    "repeated replace samplingRate separator source subField transform"
)

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "name": {"@container": "@language"},
    **{term: f"cr:{term}" for term in _TERMS.split()},
}

_TYPES = {"string": "sc:Text", "int64": "cr:Int64", "float64": "cr:Float64"}


def write_description(
    folder: Path, settings: ExportSettings, manifest: Manifest, selection: Selection
) -> None:
    """Write the description of an export into its folder."""
    document = description(folder, settings, manifest, selection)
    (folder / FILE).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def description(
    folder: Path, settings: ExportSettings, manifest: Manifest, selection: Selection
) -> dict[str, Any]:
    """The description of an export whose pictures are in `folder`, as JSON-LD."""
    files, records = _PARTS[settings.to](folder)
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": "spike-camera-pictures",
        "description": f"{len(selection.samples)} pictures reconstructed from spike-camera recordings, plan "
        f"{manifest.plan_id}. Sources, licences, methods and limits: README.md.",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "license": _licences(manifest),
        "url": "README.md",
        "citeAs": "See the sources and methods in README.md.",
        "datePublished": manifest.times.finished[:10],
        "version": "1.0.0",
        "distribution": files,
        "recordSet": records,
    }


def _licences(manifest: Manifest) -> list[str]:
    """The licences of the sources; each is a text, as the catalog has it."""
    stated = (describe_source(source).licence or NOT_STATED for source in manifest.sources)
    return [f"{source.name}: {licence}" for source, licence in zip(manifest.sources, stated, strict=True)]


def _files(name: str, includes: str, kind: str) -> dict[str, Any]:
    return {"@type": "cr:FileSet", "@id": name, "name": name, "encodingFormat": kind, "includes": includes}


def _tar(path: Path) -> dict[str, Any]:
    """One tar. mlcroissant opens tars only if each is described by itself."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {
        "@type": "cr:FileObject",
        "@id": path.name,
        "name": path.name,
        "contentUrl": path.name,
        "encodingFormat": "application/x-tar",
        "sha256": digest,
    }


def _fields(record_set: str, files: str) -> list[dict[str, Any]]:
    """A field for each column that holds one value."""
    kinds = {name: kind for name, kind in features((), ()).items() if name != "image"}
    return [
        _field(record_set, name, _TYPES[str(kind)], files, {"column": name}, COLUMNS[name])
        for name, kind in kinds.items()
    ]


def _field(
    record_set: str, name: str, kind: str, files: str, extract: dict[str, str], text: str
) -> dict[str, Any]:
    return {
        "@type": "cr:Field",
        "@id": f"{record_set}/{name}",
        "name": name,
        "description": text,
        "dataType": kind,
        "source": {"fileSet": {"@id": files}, "extract": extract},
    }


def _record_set(name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}


_Parts = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""Files and record sets."""


def _image_folder(_: Path) -> _Parts:
    files = [
        _files("metadata-files", "*/metadata.jsonl", "application/jsonlines"),
        _files("png-files", "*/*/*.png", "image/png"),
    ]
    return files, [_record_set("pictures", _fields("pictures", "metadata-files")), _images()]


def _web_dataset(folder: Path) -> _Parts:
    tars = [_tar(path) for path in sorted(folder.glob("*.tar"))]
    inside = {"containedIn": [{"@id": tar["@id"]} for tar in tars]}
    files = [
        _files("metadata-files", "*.jsonl", "application/jsonlines"),
        _files("png-files", "*.png", "image/png") | inside,
    ]
    pictures = _record_set("pictures", _fields("pictures", "metadata-files"))
    return [*tars, *files], [pictures, _images()]


def _hugging_face(_: Path) -> _Parts:
    files = [_files("parquet-files", "data/*.parquet", "application/x-parquet")]
    image = _field("pictures", "image", "sc:ImageObject", "parquet-files", {"column": "image"}, "the picture")
    image["source"]["transform"] = {"jsonPath": "bytes"}
    return files, [_record_set("pictures", [image, *_fields("pictures", "parquet-files")])]


def _images() -> dict[str, Any]:
    """The pictures of files of their own, with the names of the files."""
    name = _field("images", "file", "sc:Text", "png-files", {"fileProperty": "filename"}, "the file's name")
    content = {"fileProperty": "content"}
    image = _field("images", "image", "sc:ImageObject", "png-files", content, "the picture")
    return _record_set("images", [name, image])


_PARTS = {"imagefolder": _image_folder, "webdataset": _web_dataset, "huggingface": _hugging_face}
