/** Which view a path shows. Forms are heavy (they carry the schema of every kind): loaded when first asked for. */
import { Suspense, lazy } from 'react'
import type { ReactNode } from 'react'
import { Link, Route, Routes } from 'react-router'
import { ChangesPage } from './changes/changes.tsx'
import { EventsPage } from './events/events.tsx'
import { FabricPage } from './fabric/fabric.tsx'
import { EnginePage } from './fabric/engine.tsx'
import { GroupPage } from './fabric/group.tsx'
import { UpgradesPage } from './fabric/upgrade.tsx'
import { useSession } from './feed/use-session.ts'
import { Frame } from './frame/frame.tsx'
import { NowProvider } from './part/now.tsx'
import { OverviewPage } from './overview/overview.tsx'
import { PageHead } from './part/page.tsx'
import { Empty, Failure, Loading } from './part/states.tsx'
import { PoolPage } from './pools/pool.tsx'
import { PoolsPage } from './pools/pools.tsx'
import { ReleasesPage } from './releases/releases.tsx'
import { AddressesPage } from './addresses/addresses.tsx'
import { ServicePage } from './services/service.tsx'
import { ServicesPage } from './services/services.tsx'
import { ObjectsPage, SettingsPage } from './settings/settings.tsx'
import { SignIn } from './sign-in/sign-in.tsx'

const EditorPage = lazy(async () => ({ default: (await import('./form/editor.tsx')).EditorPage }))
const NewServicePage = lazy(async () => ({ default: (await import('./services/new-service.tsx')).NewServicePage }))

export function App(): ReactNode {
  const session = useSession()
  if (session.is === 'signed-out') return <SignIn />
  if (session.is === 'loading')
    return (
      <main className="page narrow">
        <Loading />
      </main>
    )
  if (session.is === 'failed')
    return (
      <main className="page narrow">
        <Failure what="Cannot reach the controller" problem={session.problem} onRetry={session.onRetry} />
      </main>
    )
  return (
    <NowProvider>
      <Frame session={session.session}>
        <Suspense
          fallback={
            <div className="page narrow">
              <Loading />
            </div>
          }
        >
          <Routes>
            <Route path="/" element={<OverviewPage />} />
            <Route path="/services" element={<ServicesPage />} />
            <Route path="/services/new" element={<NewServicePage />} />
            <Route path="/services/:uuid/edit" element={<EditorPage kind="virtualservice" />} />
            <Route path="/services/:uuid/clone" element={<EditorPage kind="virtualservice" isClone />} />
            <Route path="/services/form" element={<EditorPage kind="virtualservice" />} />
            <Route path="/services/:uuid/*" element={<ServicePage />} />
            <Route path="/pools" element={<PoolsPage />} />
            <Route path="/pools/new" element={<EditorPage kind="pool" />} />
            <Route path="/pools/:uuid/edit" element={<EditorPage kind="pool" />} />
            <Route path="/pools/:uuid/clone" element={<EditorPage kind="pool" isClone />} />
            <Route path="/pools/:uuid/*" element={<PoolPage />} />
            <Route path="/releases" element={<ReleasesPage />} />
            <Route path="/addresses" element={<AddressesPage />} />
            <Route path="/addresses/new" element={<EditorPage kind="vsvip" />} />
            <Route path="/addresses/:uuid" element={<EditorPage kind="vsvip" />} />
            <Route path="/addresses/:uuid/clone" element={<EditorPage kind="vsvip" isClone />} />
            <Route path="/fabric" element={<FabricPage />} />
            <Route path="/fabric/group/:uuid" element={<GroupPage />} />
            <Route path="/fabric/upgrade" element={<UpgradesPage />} />
            <Route path="/fabric/:uuid/*" element={<EnginePage />} />
            <Route path="/events" element={<EventsPage />} />
            <Route path="/changes" element={<ChangesPage />} />
            <Route path="/changes/:revision" element={<ChangesPage />} />
            <Route path="/settings" element={<SettingsPage />} />
            <Route path="/settings/system" element={<EditorPage kind="systemconfiguration" />} />
            <Route path="/settings/objects/:kind" element={<ObjectsPage />} />
            <Route path="/settings/objects/:kind/new" element={<EditorPage />} />
            <Route path="/settings/objects/:kind/:uuid" element={<EditorPage />} />
            <Route path="/settings/objects/:kind/:uuid/clone" element={<EditorPage isClone />} />
            <Route
              path="*"
              element={
                <div className="page">
                  <PageHead title="No such page" />
                  <Empty
                    title="There is nothing at this address"
                    action={
                      <Link className="inline-link" to="/">
                        Go to the overview
                      </Link>
                    }
                  >
                    The address may be mistyped, or what it showed was deleted.
                  </Empty>
                </div>
              }
            />
          </Routes>
        </Suspense>
      </Frame>
    </NowProvider>
  )
}
