//! Renaming and deleting files, each with its lies.

use futures::TryStreamExt;
use sampan_driver::{
    DriverPath, ErrorKind, FileInfo, Operation, PutMode, Result, StorageDriver, StorageDriverExt,
};

use super::Lie;
use super::driver::{Sabotaged, pause};

impl Sabotaged {
    pub(super) async fn replace_parents(&self, path: &DriverPath) -> Result<()> {
        let mut above = path.parent();
        while let Some(parent) =
            above.filter(|parent| self.lie == Lie::WritesReplaceParents && !parent.is_root())
        {
            self.inner.delete(&parent).await?;
            above = parent.parent();
        }
        Ok(())
    }

    pub(super) async fn lying_rename(&self, from: &DriverPath, to: &DriverPath) -> Result<()> {
        let inner = &self.inner;
        match self.lie {
            Lie::RenameLeavesTheSource => {
                let content = inner.get_content(from).await?;
                inner.put_content(to, content, PutMode::Overwrite).await
            }
            Lie::RenameKeepsTheTarget if inner.exists(from).await? && inner.exists(to).await? => {
                inner.delete(from).await
            }
            Lie::RenameRemovesTheTargetFirst => {
                inner.delete(to).await?;
                pause().await;
                inner.rename(from, to).await
            }
            Lie::RenameCopiesThenDeletes if from == to => inner.delete(from).await,
            Lie::RenamesByStringPrefix => {
                for neighbour in self.neighbours(from).await? {
                    let suffix = &neighbour.as_str()[from.as_str().len()..];
                    if let Ok(target) = format!("{to}{suffix}").parse() {
                        inner.rename(&neighbour, &target).await?;
                    }
                }
                inner.rename(from, to).await
            }
            Lie::RenameKeepsTheTime => {
                let born = inner.stat(from).await?.modified;
                inner.rename(from, to).await?;
                self.memory.notes().times.insert(to.clone(), born);
                Ok(())
            }
            _ => inner.rename(from, to).await,
        }
    }

    pub(super) async fn lying_delete(&self, path: &DriverPath) -> Result<()> {
        match self.lie {
            Lie::DeleteDoesNothing => Ok(()),
            Lie::DeletingNothingIsNotFound if !self.inner.exists(path).await? => {
                Err(self.error(ErrorKind::NotFound, Operation::Delete, path))
            }
            Lie::DeletesByStringPrefix => {
                for neighbour in self.neighbours(path).await? {
                    self.inner.delete(&neighbour).await?;
                }
                self.inner.delete(path).await
            }
            Lie::DeleteIsRecursive => self.inner.delete_tree(path).await,
            _ => self.inner.delete(path).await,
        }
    }

    pub(super) async fn lying_delete_tree(&self, path: &DriverPath) -> Result<()> {
        match self.lie {
            Lie::DeletesTreeByStringPrefix => {
                for neighbour in self.neighbours(path).await? {
                    self.inner.delete_tree(&neighbour).await?;
                }
                self.inner.delete_tree(path).await
            }
            Lie::DeleteTreeDoesNothing => Ok(()),
            Lie::DeleteTreeMissesStaged | Lie::DeleteTreeKeepsItsTop => {
                let below: Vec<FileInfo> = self.inner.walk(path, None).try_collect().await?;
                for info in below {
                    self.inner.delete(&info.path).await?;
                }
                match self.lie {
                    Lie::DeleteTreeMissesStaged => self.inner.delete(path).await,
                    _ => Ok(()),
                }
            }
            _ => self.inner.delete_tree(path).await,
        }
    }
}
