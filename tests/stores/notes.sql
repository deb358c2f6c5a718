-- A table of the project's own, with the policies its own people write.
create table public.notes (
  id bigint primary key,
  user_id uuid not null,
  organization_id uuid not null,
  body text not null
);
alter table public.notes enable row level security;
create policy "People see their own notes" on public.notes for select to tollgate_member
  using ((select auth.uid()) = user_id);
create policy "Viewers see their organization's notes" on public.notes for select to tollgate_viewer
  using (organization_id = ((select auth.jwt()) ->> 'organization_id')::uuid);
grant usage on schema public to tollgate_member, tollgate_viewer;
grant select on public.notes to tollgate_member, tollgate_viewer;
