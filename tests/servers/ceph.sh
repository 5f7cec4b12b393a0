#!/bin/bash
# Ceph's RADOS gateway over one monitor and one storage daemon in memory; about 15 seconds and 700 MB.
# Debian: apt-get install --no-install-recommends ceph-mon ceph-osd radosgw ceph-common curl python3
# As root, since the daemons insist on their users. With CEPH_OSD_STORE=bluestore the objects are in a file of DIRECTORY,
# compressed, instead of in memory.
. "$(dirname "$0")/common.sh"

mon_port=$(free_port)
port=$(free_port)
fsid=$(cat /proc/sys/kernel/random/uuid)
export CEPH_CONF=$dir/ceph.conf
mkdir "$dir"/{mon,osd,log}

cat >"$CEPH_CONF" <<CONF
[global]
fsid = $fsid
mon_initial_members = a
mon_host = v1:127.0.0.1:$mon_port
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr2 = false
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
osd_crush_chooseleaf_type = 0
osd_objectstore = ${CEPH_OSD_STORE:-memstore}
bluestore_block_size = 32212254720
bluestore_compression_mode = force
bluestore_compression_algorithm = snappy
osd_memory_target = 1073741824
osd_class_update_on_start = false
osd_crush_update_on_start = false
memstore_device_bytes = ${MEMSTORE_BYTES:-6442450944}
run_dir = $dir
pid_file = $dir/\$name.pid
admin_socket = $dir/\$name.asok
log_file = $dir/log/\$name.log
mon_data = $dir/mon
osd_data = $dir/osd
mon_data_avail_crit = 1
mon_data_avail_warn = 1
rgw_frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
CONF

quietly monmaptool --create --fsid "$fsid" --addv a "v1:127.0.0.1:$mon_port" "$dir/monmap"
quietly ceph-mon -i a --mkfs --monmap "$dir/monmap"
start mon ceph-mon -i a --setuser root --setgroup root -f
await ceph -s
# A monitor that has just answered may still refuse a command once.
await sh -c "ceph osd create >'$dir/osd.number' 2>>'$dir/setup.out'"
osd=$(cat "$dir/osd.number")
quietly ceph-osd -i "$osd" --mkfs --setuser root --setgroup root
quietly ceph osd crush add "osd.$osd" 1.0 root=default host=h
start osd ceph-osd -i "$osd" --setuser root --setgroup root -f
await sh -c 'ceph osd stat | grep -q "1 up"'
start rgw radosgw -n client.rgw -f
await answers "http://127.0.0.1:$port/"
quietly radosgw-admin user create --uid=test --display-name=test --access-key=testkey --secret-key=testsecret
python3 "$here/s3_bucket.py" "http://127.0.0.1:$port" testkey testsecret us-east-1 registry

echo "SAMPAN_TEST_CEPH='{\"regionendpoint\":\"http://127.0.0.1:$port\",\"forcepathstyle\":true,\"region\":\"us-east-1\",\"bucket\":\"registry\",\"accesskey\":\"testkey\",\"secretkey\":\"testsecret\"}'"
