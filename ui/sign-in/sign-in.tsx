import { Button, PasswordInput, TextInput } from '@mantine/core'
import { useEffect, useState } from 'react'
import type { FormEvent, ReactNode } from 'react'
import { problemOf } from '../feed/problem.ts'
import type { Problem } from '../feed/problem.ts'
import { useSignIn } from '../feed/use-session.ts'
import { Mark } from '../frame/mark.tsx'
import { Failure } from '../part/states.tsx'

export function SignIn(): ReactNode {
  const signIn = useSignIn()
  const [username, setUsername] = useState('')
  const [password, setPassword] = useState('')
  const [problem, setProblem] = useState<Problem>()
  const [isBusy, setIsBusy] = useState(false)
  useEffect(() => {
    document.title = 'Sign in · Weir'
  }, [])
  const onSubmit = async (event: FormEvent): Promise<void> => {
    event.preventDefault()
    setIsBusy(true)
    setProblem(undefined)
    try {
      await signIn(username, password)
    } catch (error) {
      setProblem(problemOf(error))
      setIsBusy(false)
    }
  }
  return (
    <main className="sign-in">
      <form onSubmit={event => void onSubmit(event)}>
        <div className="mark">
          <Mark />
          <h1>Weir</h1>
        </div>
        <TextInput
          label="User name"
          autoComplete="username"
          autoFocus
          required
          withAsterisk={false}
          value={username}
          onChange={event => setUsername(event.currentTarget.value)}
        />
        <PasswordInput
          label="Password"
          autoComplete="current-password"
          required
          withAsterisk={false}
          visibilityToggleButtonProps={{ 'aria-label': 'show the password' }}
          value={password}
          onChange={event => setPassword(event.currentTarget.value)}
        />
        {problem && <Failure what="Not signed in" problem={problem} />}
        <Button type="submit" loading={isBusy}>
          Sign in
        </Button>
      </form>
    </main>
  )
}
