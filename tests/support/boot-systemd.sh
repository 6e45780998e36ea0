#!/bin/bash
# A machine with systemd as process 1, for one test: this machine's own root, read only, under a layer in memory that goes
# with it; a process, network, mount and host name space of its own. Called by systemd-machine.ts through unshare.
#   boot-systemd.sh SOURCES [TREE...]    the repository, seen as /srv/source; trees of unpacked packages laid over the root
set -euo pipefail
sources=$1
shift

mount -t tmpfs -o size=3g,mode=755 tmpfs /run
layer() { # LOWER TARGET NAME: TARGET shows LOWER; what is written there stays in memory
  mkdir -p "/run/$3/upper" "/run/$3/work" "$2"
  mount -t overlay -o "lowerdir=$1,upperdir=/run/$3/upper,workdir=/run/$3/work" overlay "$2"
}
root=/run/root
layer / "$root" machine
layer "$sources" "$root/srv/source" source
for tree in "$@"; do
  tar -C "$tree" -c . | tar -C "$root" -x --keep-directory-symlink --no-overwrite-dir
done

# What has no place in a machine without hardware, and what this machine runs beside the tests.
units=$root/etc/systemd/system
mkdir -p "$units"
for unit in console-getty getty@ serial-getty@ ssh cron redis-server redis systemd-udevd systemd-udev-trigger \
  systemd-timesyncd systemd-modules-load systemd-resolved systemd-networkd networking; do
  ln -sf /dev/null "$units/$unit.service"
done
for unit in systemd-udevd-kernel.socket systemd-udevd-control.socket apt-daily.timer apt-daily-upgrade.timer; do
  ln -sf /dev/null "$units/$unit"
done
: > "$root/etc/machine-id"
printf '127.0.0.1 localhost\n::1 localhost\n' > "$root/etc/hosts"
ip link set lo up

mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
# Nodes of its own: what boots changes their modes.
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 console:1:3; do
  IFS=: read -r name major minor <<< "$node"
  mknod -m 666 "$root/dev/$name" c "$major" "$minor"
done
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
mkdir "$root/sys/fs/cgroup/systemd" "$root/sys/fs/cgroup/unified"
mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified" || true

# Not chroot: a process whose root was changed that way may not make user name spaces, and services want theirs.
mkdir "$root/run/former"
cd "$root"
pivot_root . run/former
umount -l /run/former
# systemd mounts the credentials of a service where the others see them.
mount --make-rshared /
exec env -i container=other PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --log-target=journal --show-status=0
