import type { Filled, Written } from './field.ts'
import { defineKind } from './define.ts'
import { cloudRef, flag, inTenant, oneOf, ref, text, textByName } from './common.ts'

export const serviceengine = defineKind({
  kind: 'serviceengine',
  title: 'Service engine',
  titlePlural: 'Service engines',
  description: 'A host that joined and carries traffic; the controller makes the document when it joins.',
  scope: 'tenant',
  fields: {
    ...inTenant,
    se_group_ref: ref('serviceenginegroup', 'Group that it serves; Default-Group when left out.', { first: true }),
    enable_state: oneOf(
      ['SE_STATE_ENABLED', 'SE_STATE_DISABLED_FOR_PLACEMENT', 'SE_STATE_DISABLED', 'SE_STATE_DISABLED_FORCE'],
      'ENABLED takes virtual services; DISABLED_FOR_PLACEMENT keeps what it has; DISABLED gives away all that another engine can take; DISABLED_FORCE gives all away.',
      { default: 'SE_STATE_ENABLED', first: true }
    ),
    labels: textByName('Labels of the host, from its join token.', {}),
    cloud_ref: cloudRef,
    hostname: text('Name of the host when it joined.', { readOnly: true }),
    engine_intent: text('Name under which a driver made it; left out for hosts that joined by hand.', { readOnly: true }),
    controller_created: flag('Made by the controller; set when an engine joins.', { readOnly: true })
  },
  unsupported: {
    availability_zone: '',
    container_mode: false,
    container_type: 'CONTAINER_TYPE_HOST',
    controller_ip: '',
    data_vnics: [],
    flavor: '',
    host_ref: '',
    hypervisor: '',
    mgmt_vnic: {},
    nsxt_no_hotplug: false,
    resources: {}
  }
})
export type ServiceEngine = Written<typeof serviceengine.fields>
export type FilledServiceEngine = Filled<typeof serviceengine.fields>
