#!/bin/sh
# Leave out of an environment what packages bring and no program of ours loads: `prune.sh ENVIRONMENT`.
# pyarrow's libraries for Flight and S3 are loaded by its modules of these names alone, and it does without them.
set -eu
cd "$1"/lib/python3.*/site-packages
find numpy pandas pyarrow scipy -type d -name tests -prune -exec rm -r {} +
rm -r pyarrow/include pyarrow/includes pyarrow/src numpy/_core/include
rm pyarrow/libarrow_flight.so.* pyarrow/libarrow_python_flight.so* pyarrow/_flight.*.so pyarrow/libarrow_s3.so.* pyarrow/_s3fs.*.so
rm zstandard/_cffi.*.so # for PyPy
find . -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' | xargs rm
