# Boots systemd as the first process of its own namespaces, over a copy of this machine that is thrown away.
# $1: a folder for mounts   $2: the repository   $3: what to run inside, a Python file   $4: a folder for its answers
set -eu
mount --make-rprivate /
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
R="$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$R"
mount -t proc proc "$R/proc"
mount -t sysfs sysfs "$R/sys"
mount -t cgroup2 none "$R/sys/fs/cgroup"
mount -t tmpfs tmpfs "$R/run"
mount -t tmpfs -o mode=1777 tmpfs "$R/tmp"
mount -t tmpfs -o mode=1777 tmpfs "$R/var/tmp"

# /dev with what every machine has, and two GPUs: twins of devices that open without effect
mount -t tmpfs -o mode=755 tmpfs "$R/dev"
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 \
    nvidia0:10:229 nvidia1:10:200 nvidiactl:1:3 nvidia-uvm:1:3; do
    IFS=: read -r name major minor <<<"$device"
    mknod -m 666 "$R/dev/$name" c "$major" "$minor"
done
mkdir "$R/dev/pts" "$R/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$R/dev/pts"
ln -s pts/ptmx "$R/dev/ptmx"
ln -s /proc/self/fd "$R/dev/fd"
mount -t tmpfs -o mode=1777 tmpfs "$R/dev/shm"

# Users of other tests that run at this moment, and their locks
for table in passwd shadow group gshadow; do
    sed -i '/^bg-t/d' "$R/etc/$table"
done
rm -f "$R"/etc/*.lock "$R/etc/.pwd.lock"

# The node's own files, installed as the guide says
mkdir -p "$R/opt/bitgoeul" "$R/answers"
mount --bind "$2" "$R/opt/bitgoeul"
mount --bind "$4" "$R/answers"
rm -rf "$R"/lib/systemd/system/*.target.wants "$R"/etc/systemd/system/*.wants  # nothing of this machine starts
cd "$2/deploy/systemd"
cp -r bitgoeul-*.service bitgoeul-*.socket bitgoeul-*.timer ./*.slice.d "$R/etc/systemd/system/"
# A virtual environment may lie under /root, which ProtectHome hides; the root part needs the standard library alone.
sed -i 's,/opt/bitgoeul/.venv/bin/python,/usr/bin/python3,' "$R"/etc/systemd/system/bitgoeul-*.service
mkdir -p "$R/etc/sysusers.d" "$R/etc/tmpfiles.d" "$R/etc/ssh/sshd_config.d"
cp sysusers.d/bitgoeul.conf "$R/etc/sysusers.d/"
cp tmpfiles.d/bitgoeul.conf "$R/etc/tmpfiles.d/"
cp ../ssh/60-bitgoeul.conf "$R/etc/ssh/sshd_config.d/"

cat >"$R/etc/systemd/system/inside.service" <<UNIT
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
Environment=PYTHONDONTWRITEBYTECODE=1
WorkingDirectory=/opt/bitgoeul
ExecStart=/usr/bin/python3 $3
StandardOutput=file:/answers/said
StandardError=file:/answers/complaints
ExecStopPost=/usr/bin/touch /answers/over
UNIT
printf '[Unit]\nDefaultDependencies=no\nWants=inside.service\n' >"$R/etc/systemd/system/inside.target"
exec chroot "$R" env container=bitgoeul-test /lib/systemd/systemd --system --unit=inside.target \
    --log-target=console --log-level=info --show-status=no </dev/null
