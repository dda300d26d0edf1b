"""Data sets on disk in the format of TensorFlow Datasets, for tests."""

import json


def write_data_set(root, features, splits, file_format="array_record"):
    """Prepares the data set `pets` below `root`, without TensorFlow; `splits` maps names to lists of records."""
    from array_record.python.array_record_module import ArrayRecordWriter

    folder = root / "pets" / "1.0.0"
    folder.mkdir(parents=True)
    features.save_config(str(folder))
    described = []
    for split, records in splits.items():
        writer = ArrayRecordWriter(str(folder / f"pets-{split}.{file_format}-00000-of-00001"), "group_size:1")
        for record in records:
            writer.write(features.serialize_example(record))
        writer.close()
        described.append(
            {
                "name": split,
                "shardLengths": [str(len(records))],
                "numBytes": "1000",
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
        )
    info = {"name": "pets", "version": "1.0.0", "fileFormat": file_format, "splits": described}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder
