import '@mantine/core/styles.css'
import 'uplot/dist/uPlot.min.css'
import './style.css'
import { MantineProvider } from '@mantine/core'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { BrowserRouter } from 'react-router'
import { App } from './app.tsx'
import { FeedProvider, makeFeed } from './feed/feed.tsx'
import { Problem } from './feed/problem.ts'
import { NoticeProvider } from './part/notice.tsx'
import { tenantIn } from './frame/tenant.ts'
import { theme } from './theme.ts'

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // Commits are told by the live feed; a read is old only when they say so, or when one comes back to the window.
      staleTime: 30_000,
      retry: (count, error) => count < 2 && !(error instanceof Problem && error.status >= 400 && error.status < 500),
      retryDelay: 800
    }
  }
})
const { tenant, base } = tenantIn(location.pathname)

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="auto" withGlobalClasses={false} withCssVariables={false}>
      <QueryClientProvider client={queries}>
        <FeedProvider feed={makeFeed(tenant, queries)}>
          <NoticeProvider>
            <BrowserRouter basename={base}>
              <App />
            </BrowserRouter>
          </NoticeProvider>
        </FeedProvider>
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>
)
