# outside.sh FOLDER OLD NEW PORT EVENTS: two packages of one kind
# A layer in memory above the machine's files, in namespaces of this process: it ends with it.
folder=$1 old=$2 new=$3 port=$4 events=$5
layer=$folder/layer
mkdir "$layer"
mount -t tmpfs tmpfs "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/whole"
mount -t overlay overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" "$layer/whole"
mount --rbind /dev "$layer/whole/dev"
mount -t proc proc "$layer/whole/proc"
mount -t tmpfs tmpfs "$layer/whole/run"
mkdir "$layer/whole/mnt/hooks"
cp "$folder/inside.sh" "$layer/whole/mnt/hooks/"
cp "$old" "$layer/whole/mnt/hooks/old.${old##*.}"
cp "$new" "$layer/whole/mnt/hooks/new.${new##*.}"
cp "$events" "$layer/whole/mnt/hooks/events.ndjson"
chroot "$layer/whole" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
    timeout 300 sh -eu /mnt/hooks/inside.sh "$port" > "$folder/said" 2>&1 || {
    cat "$folder/said" >&2
    exit 1
}

# What is left is what dpkg, rpm and systemd keep of every package that was there.
left=$(cd "$layer/upper" && find . -type f -path '*hooks*' -not -path './mnt/*' -not -path './var/lib/dpkg/*')
if [ -n "$left" ]; then
    echo "after purging these files are left: $left" >&2
    exit 1
fi
