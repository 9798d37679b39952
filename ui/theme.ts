import { createTheme } from '@mantine/core'

/** Sizes and defaults only: every colour is a variable in style.css, so that nothing is injected into the page at run time. */
const dense = { defaultProps: { size: 'xs' } }
/** Descriptions below: inputs that stand beside each other stay in line however long those are. */
const input = { defaultProps: { size: 'xs', inputWrapperOrder: ['label', 'input', 'error', 'description'] } }
/** Ten thousand pools are found by typing, not by scrolling. */
const choice = { defaultProps: { ...input.defaultProps, limit: 100 } }
/** No `<style>` is made to lock the page's scroll: the frame scrolls inside `main`, which an overlay covers anyway. */
const overlay = { defaultProps: { lockScroll: false, transitionProps: { duration: 120 }, overlayProps: { backgroundOpacity: 0.45 } } }

export const theme = createTheme({
  respectReducedMotion: true,
  components: {
    Button: dense,
    TextInput: input,
    NumberInput: input,
    PasswordInput: input,
    Textarea: input,
    Select: choice,
    MultiSelect: choice,
    Autocomplete: choice,
    TagsInput: input,
    Checkbox: dense,
    Switch: dense,
    SegmentedControl: dense,
    ActionIcon: { defaultProps: { variant: 'subtle', color: 'gray', size: 28 } },
    Menu: { defaultProps: { position: 'bottom-end', shadow: 'md', transitionProps: { duration: 80 } } },
    Tooltip: { defaultProps: { openDelay: 300, transitionProps: { duration: 80 }, events: { hover: true, focus: true, touch: false } } },
    Modal: overlay,
    Drawer: overlay
  }
})
