import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

/** The controller that `vite ui` (hot reload while one works on the dashboard) speaks to. */
const controller = 'https://127.0.0.1:9443'

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: 'dist',
    emptyOutDir: true,
    target: 'es2023',
    // The policy of the page allows images and scripts of our own origin only, no data: URLs.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900
  },
  server: {
    proxy: {
      '/api': { target: controller, secure: false, ws: true, changeOrigin: true },
      '/login': { target: controller, secure: false, changeOrigin: true },
      '/logout': { target: controller, secure: false, changeOrigin: true }
    }
  }
})
