#!/bin/sh
# Run a command with its secrets: a variable NAME_FILE that names a file becomes NAME with what the file holds. Variables
# whose own name ends so, and that name a file to their program, stay: OpenSSL's, and those of AWS, which a cluster sets.
set -eu
for setting in $(env | sed -n 's/^\([A-Za-z][A-Za-z0-9_]*_FILE\)=.*/\1/p'); do
    case $setting in SSL_CERT_FILE | AWS_*_FILE) continue ;; esac
    file=$(printenv "$setting")
    [ -r "$file" ] || { echo "with-secrets: $setting names $file, which can't be read" >&2; exit 2; }
    export "${setting%_FILE}=$(cat "$file")"
    unset "$setting"
done
exec "$@"
