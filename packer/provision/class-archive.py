"""Make the class-data archive of the image: class-archive.py ARCHIVE

The JVM takes an archive only for the very class path that it was made with, so that the arguments come from zkboot itself.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import class_archive

from zkboot.settings_keys import Aws, Node, Settings, Zookeeper
from zkboot.zookeeper import service

MEMORY = 1024**3  # bytes; the archive does not depend on the heap

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    settings = Settings(
        cluster="image",
        aws=Aws(bucket="image"),
        node=Node(conf_dir=name, service="process"),
        zookeeper=Zookeeper(shared_archive=""),
    )
    shutil.copyfile(class_archive.train(folder, service.arguments(settings, MEMORY)), sys.argv[1])
