#!/bin/sh
# PID 1 of a lab host, in namespaces of its own: puts a Debian root together and becomes its systemd.
#   boot.sh <root folder, read only> <folder to build it in> <host name>
# The folder is empty, or what the host left there when it was shut down: what it writes lies in it.
set -eu
lower=$1
top=$2
name=$3
mount --make-rprivate /
mkdir -p "$top/upper" "$top/work" "$top/root"
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$top/upper,workdir=$top/work" "$top/root"
cd "$top/root"

mount -t proc proc proc
mount --bind proc/sys proc/sys
# Settings of the whole kernel stay as they are; those of the host's own network are its to change.
mount -o remount,bind,ro proc/sys
mount -t proc proc run
mount --bind run/sys/net proc/sys/net
umount -l run
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
echo "$name" >etc/hostname
hostname "$name"
# No name server, and an answer at once that there is none.
echo 'nameserver 127.0.0.1' >etc/resolv.conf

mkdir run/before
pivot_root . run/before
cd /
umount -l /run/before
rmdir /run/before
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd
